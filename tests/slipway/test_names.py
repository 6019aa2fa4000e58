"""Names from outside are checked once, and hostile ones never become a path or a refname."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.errors import Rejected
from slipway.names import check_commit, check_digest, check_environment, check_model, check_number


@pytest.mark.parametrize("name", ["digits", "cats_dogs", "a", "0-day", "x" * 63])
def test_an_ordinary_model_name_is_accepted(name: str) -> None:
    assert check_model(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../etc/passwd",
        "/abs",
        "a/b",
        ".git",
        "-rf",
        "_x",
        "Digits",
        "a" * 300,
        "digits\n",
        "digits\x00",
        "a b",
        "a..b",
        "a@{1}",
        "a~1",
        "a^",
        "a:b",
        "refs/heads/main",
        "dіgits",  # a Cyrillic і
        "digits\u200b",
        "１２",  # full-width digits
        "${IFS}",
        "{{workflow.name}}",
    ],
)
def test_a_hostile_model_name_is_refused(name: str) -> None:
    with pytest.raises(Rejected, match="is not a model name; use 1 to 63 of"):
        check_model(name)


def test_the_refusal_of_a_long_name_stays_one_short_line() -> None:
    with pytest.raises(Rejected) as caught:
        check_model("a" * 10_000)
    assert len(str(caught.value)) < 250
    assert "\n" not in str(caught.value)


def test_the_refusal_of_a_look_alike_shows_which_letter_it_is() -> None:
    with pytest.raises(Rejected, match=r"^'d\\u0456gits' is not a model name"):
        check_model("dіgits")  # a Cyrillic і


@given(st.text())
def test_every_accepted_model_name_is_safe_as_a_path_segment_and_as_a_refname(text: str) -> None:
    try:
        name = check_model(text)
    except Rejected:
        return
    assert re.fullmatch("[a-z0-9_-]+", name)
    assert not name.startswith(("-", ".", "_"))


@pytest.mark.parametrize("text", ["0", "-1", "1" * 19, "01", "1.0", "", "٣", "3.tmp", "1\n"])
def test_a_version_number_that_triton_would_misread_is_refused(text: str) -> None:
    with pytest.raises(Rejected, match="is not a version number"):
        check_number(text)


@given(st.integers(min_value=1, max_value=10**18 - 1))
def test_every_number_triton_can_serve_is_accepted(number: int) -> None:
    assert check_number(str(number)) == number


@pytest.mark.parametrize("name", ["", "Prod", "a.b", "-a", "a-", "x" * 31, "staging\n", "..", "9a"])
def test_an_environment_name_is_a_dns_label(name: str) -> None:
    with pytest.raises(Rejected, match="is not an environment name"):
        check_environment(name)


@pytest.mark.parametrize("commit", ["HEAD", "main", "abc123", "A" * 40, "a" * 41, "--all", "a" * 40 + "\n"])
def test_only_a_full_commit_id_is_a_commit(commit: str) -> None:
    with pytest.raises(Rejected, match="is not a commit"):
        check_commit(commit)


@pytest.mark.parametrize("digest", ["a" * 64, "sha256:" + "A" * 64, "md5:" + "a" * 32, "sha256:" + "a" * 63])
def test_only_a_sha256_is_a_digest(digest: str) -> None:
    with pytest.raises(Rejected, match="is not a digest"):
        check_digest(digest)
