"""The expressions of depends, when and retryStrategy mean what Python's mean."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hera_workflows.local.expression import evaluate, names_in
from slipway.errors import Misconfigured

NAMES: dict[str, Any] = {"a": True, "b-1.Failed": False, "lastRetry.exitCode": "75", "n": 3, "x_y": "text"}
PYTHON = {"a": "True", "b-1.Failed": "False", "lastRetry.exitCode": "'75'", "n": "3", "x_y": "'text'"}

numbers = st.one_of(
    st.integers(-999, 999).map(lambda n: (str(n), str(n))),
    st.decimals(-99, 99, places=2).map(lambda d: (f"{d:f}", f"{d:f}")),
    st.just(("n", PYTHON["n"])),
    st.just(("asInt(lastRetry.exitCode)", "int('75')")),
)
texts = st.one_of(
    st.text(
        st.characters(codec="utf-8", exclude_characters="'\"\\{}\n\r", exclude_categories=["Cc", "Cs", "Zl", "Zp"]),
        max_size=8,
    ).map(lambda t: (f"'{t}'", repr(t))),
    st.sampled_from([(name, PYTHON[name]) for name in ("lastRetry.exitCode", "x_y")]),
)
pairs = st.one_of(st.tuples(numbers, numbers), st.tuples(texts, texts))
comparisons = st.builds(
    lambda sides, op: tuple(f"{left} {op} {right}" for left, right in zip(*sides, strict=True)),
    pairs,
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
)
truths = st.sampled_from([("true", "True"), ("false", "False"), ("a", "True"), ("b-1.Failed", "False")])
conditions = st.recursive(
    st.one_of(comparisons, truths),
    lambda inner: st.one_of(
        inner.map(lambda e: (f"!({e[0]})", f"(not ({e[1]}))")),
        st.tuples(inner, inner).map(lambda e: (f"({e[0][0]}) && ({e[1][0]})", f"(({e[0][1]}) and ({e[1][1]}))")),
        st.tuples(inner, inner).map(lambda e: (f"({e[0][0]}) || ({e[1][0]})", f"(({e[0][1]}) or ({e[1][1]}))")),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(conditions)
def test_an_expression_is_true_exactly_when_pythons_is(both: tuple[str, str]) -> None:
    ours, python = both
    assert evaluate(ours, NAMES) is eval(python)


def test_contains_asks_for_a_part_of_a_text() -> None:
    assert evaluate("x_y contains 'ex' && !(x_y contains 'Ex')", NAMES)


def test_contains_asks_no_number() -> None:
    with pytest.raises(Misconfigured, match="compares different kinds"):
        evaluate("n contains '3'", NAMES)


def test_and_binds_stronger_than_or() -> None:
    assert evaluate("true || true && false", {})


def test_not_binds_stronger_than_and() -> None:
    assert not evaluate("!true && false || !a", NAMES)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_either_judged_or_refused(text: str) -> None:
    with contextlib.suppress(Misconfigured):
        assert evaluate(text, NAMES) in (True, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lastRetry.exitcode == '75'", "lastRetry.exitcode is unknown; known are"),
        ("true || nowhere", "nowhere is unknown"),
        ("len(x_y) == 4", "function len is unknown; known are asInt, asFloat"),
        ("asInt(x_y) == 4", "asInt('text') is not a number"),
        ("n == 'a'", "compares different kinds; use asInt"),
        ("n", "is 3, neither true nor false"),
        ("n && a", "3 stands where true or false must stand"),
        ("a ==", "not understood"),
        ("__import__('os').system('x')", "not understood"),
        ("a; a", "column 2: not understood"),
        ("", "not understood"),
        ("a" * 3000, "3000 characters; 2000 are allowed"),
        ("(" * 900 + "a" + ")" * 900, ""),
    ],
)
def test_what_is_not_understood_is_refused_with_the_reason(text: str, message: str) -> None:
    if message:
        with pytest.raises(Misconfigured) as caught:
            evaluate(text, NAMES)
        assert message in str(caught.value)
    else:
        assert evaluate(text, NAMES)


def test_the_tasks_that_depends_names_are_found() -> None:
    assert names_in("a && (b-1.Failed || !c.Succeeded)") == {"a", "b-1.Failed", "c.Succeeded"}


@settings(deadline=None)
@given(st.text(max_size=60))
def test_a_value_never_becomes_code(value: str) -> None:
    holes = {"item.action": value}
    assert evaluate("'{{item.action}}' == 'changed'", {}, holes) == (value == "changed")


@pytest.mark.parametrize(
    "value", ["x' == 'x' || 'a", "changed' || true || '", "{{workflow.name}}", "true) || (true", "'"]
)
def test_a_quote_or_an_operator_in_a_value_stays_text(value: str) -> None:
    assert not evaluate("'{{item}}' == 'changed' && true", {}, {"item": value})


@pytest.mark.parametrize(("value", "expected"), [("5", True), ("2", False), ("-1.5", False)])
def test_an_unquoted_number_compares_as_a_number(value: str, expected: bool) -> None:
    assert evaluate("{{item}} > 3", {}, {"item": value}) is expected


@pytest.mark.parametrize("value", ["1 || true", "0x10", "1e9", "٣", "1" * 400])
def test_an_unquoted_value_that_is_no_plain_number_is_text(value: str) -> None:
    with pytest.raises(Misconfigured, match="compares different kinds"):
        evaluate("{{item}} > 3", {}, {"item": value})
