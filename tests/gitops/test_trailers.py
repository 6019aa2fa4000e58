"""Trailers parse back to the operation they were made from, whatever surrounds them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slipway.operation import _ACTIONS, Operation, parse_message, render_message
from slipway.version import ModelVersion

commits = st.text("0123456789abcdef", min_size=40, max_size=40)
words = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,60}", fullmatch=True)
versions = st.builds(
    ModelVersion,
    st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True),
    st.integers(1, 10**18 - 1),
    st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True),
)
people = st.text(min_size=1, max_size=60).filter(lambda name: name.isprintable() and name == name.strip() and name)
operations = st.builds(
    Operation,
    id=words,
    action=st.sampled_from(_ACTIONS),
    environment=st.from_regex(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?", fullmatch=True),
    version=st.none() | versions,
    source_commit=st.none() | commits,
    run=st.none() | words,
    source_env_commit=st.none() | commits,
    rollback_of=st.none() | commits,
    verdict=st.none() | words,
    approved_by=st.none() | people,
)
subjects = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1).filter(str.strip)
bodies = st.text(st.characters(exclude_characters="\r", exclude_categories=("Cs",)), max_size=300)


@given(operations, subjects, bodies)
def test_an_operation_survives_its_message(operation: Operation, subject: str, body: str):
    assert parse_message(render_message(subject, operation, body)) == operation


@given(operations, bodies)
def test_a_body_cannot_forge_an_operation(operation: Operation, body: str):
    forged = "Operation-Id: forged\nAction: bump\nEnvironment: production\n\n" + body
    assert parse_message(render_message("x", operation, forged)) == operation


@given(st.text(max_size=300))
def test_what_people_write_is_no_operation(message: str):
    if "Operation-Id" not in message:
        assert parse_message(message) is None
