"""release.env is machine-owned: three lines that parse back to the version they were made from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.errors import Rejected
from slipway.version import ModelVersion, parse_release_env, release_path, render_release_env

DIGEST = "sha256:" + "a" * 64
VERSIONS = st.builds(
    ModelVersion,
    st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True),
    st.integers(min_value=1, max_value=10**18 - 1),
    st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True),
)


@given(VERSIONS)
def test_a_release_parses_back_to_the_version_it_was_made_from(version: ModelVersion) -> None:
    assert parse_release_env(render_release_env(version)) == version


@given(st.text())
def test_nonsense_is_refused_and_never_another_exception(text: str) -> None:
    try:
        version = parse_release_env(text)
    except Rejected:
        return
    assert sorted(render_release_env(version).splitlines()) == sorted(text.splitlines())


def test_an_unknown_line_is_named_with_its_number() -> None:
    with pytest.raises(Rejected, match=r"envs/staging/digits/release.env:2: 'REPLICAS=3' is not one of"):
        parse_release_env(f"MODEL=digits\nREPLICAS=3\nDIGEST={DIGEST}\n", "envs/staging/digits/release.env")


def test_a_missing_line_is_named() -> None:
    with pytest.raises(Rejected, match="VERSION missing; revert the commit"):
        parse_release_env(f"MODEL=digits\nDIGEST={DIGEST}\n")


def test_a_line_that_stands_twice_is_refused() -> None:
    with pytest.raises(Rejected, match="each once"):
        parse_release_env(f"MODEL=digits\nMODEL=digits\nVERSION=1\nDIGEST={DIGEST}\n")


def test_a_release_path_cannot_leave_its_environment() -> None:
    with pytest.raises(Rejected):
        release_path("staging", "../production/digits")
