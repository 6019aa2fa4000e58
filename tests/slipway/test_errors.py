"""What people are told of a disk that cannot be written, and of a value that a model refuses."""

from __future__ import annotations

import errno

import pytest
from pydantic import ValidationError

from slipway.environments import Environments
from slipway.errors import Misconfigured, TryAgain, first_problem, of_disk


@pytest.mark.parametrize(
    ("number", "family"),
    [(errno.ENOSPC, TryAgain), (errno.EDQUOT, TryAgain), (errno.EROFS, Misconfigured), (errno.EACCES, Misconfigured)],
)
def test_a_disk_that_cannot_be_written_has_an_exit_code_of_its_kind(number: int, family: type):
    assert type(of_disk(OSError(number, "why", "/store/x"))) is family


def test_it_names_the_file_and_what_to_do():
    told = str(of_disk(OSError(errno.ENOSPC, "No space left on device", "/store/x")))
    assert told == "/store/x: No space left on device; make room there, then run the same command again"


def test_any_other_error_is_a_defect_and_not_explained_away():
    assert of_disk(OSError(errno.EBADF, "Bad file descriptor")) is None


def test_a_refusal_in_our_own_words_has_none_of_pydantics_before_it():
    listed = [{"name": "a", "accepts": "direct"}, {"name": "b", "accepts": "direct", "after": "c"}]
    with pytest.raises(ValidationError) as caught:
        Environments.model_validate({"environments": listed})
    assert first_problem(caught.value).startswith("content: environment b comes after c, which is not listed above it")
