"""What an expression (`depends`, `when`, `retryStrategy.expression`) says, given the values of its names.

The text is parsed before any value is put in, so a value can never become code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from hera_workflows.local.substitution import substitute
from slipway.errors import Misconfigured

__all__ = ["evaluate", "names_in"]

Value = bool | int | float | str

_GRAMMAR = r"""
?start: or
?or: and | or ("||" | "or") and -> either
?and: not | and ("&&" | "and") not -> both
?not: compare | ("!" | "not") not -> negate
?compare: atom | atom COMPARE atom -> compare
?atom: "(" or ")" | NUMBER -> number | STRING -> string | HOLE -> hole
     | "true" -> true | "false" -> false | NAME -> name | NAME "(" or ")" -> call
COMPARE: "==" | "!=" | "<=" | ">=" | "<" | ">" | "contains"
NUMBER: /-?[0-9]+(\.[0-9]+)?/
STRING: /'[^']*'|"[^"]*"/
HOLE: /\{\{[^{}]*\}\}/
NAME: /[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*/
%ignore /[ \t\n]+/
"""
_LONGEST = 2000  # characters
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "contains": lambda a, b: b in a,
}
_FUNCTIONS: dict[str, Callable[[Value], Value]] = {"asInt": int, "asFloat": float}


def evaluate(text: str, names: Mapping[str, Value], holes: Mapping[str, str] | None = None) -> bool:
    """Whether `text` holds.

    names: values of bare names such as `lastRetry.exitCode`; holes: values of `{{…}}`, as in `substitute`.
    Raises Misconfigured for anything that is not understood, an unknown name or function and mixed types included.
    """
    tree = _parse(text)
    if unknown := sorted(names_in(text) - names.keys()):
        raise Misconfigured(
            f"expression {text!r}: {unknown[0]} is unknown; known are {', '.join(sorted(names)) or 'none'}"
        )
    result = _value(tree, text, names, holes or {})
    if not isinstance(result, bool):
        raise Misconfigured(f"expression {text!r} is {result!r}, neither true nor false; compare it with something")
    return result


def names_in(text: str) -> set[str]:
    """The bare names that `text` uses; raises Misconfigured if it cannot be parsed."""
    return {str(node.children[0]) for node in _parse(text).find_data("name")}


@cache
def _parser() -> Any:
    from lark import Lark

    return Lark(_GRAMMAR, parser="lalr", keep_all_tokens=False, maybe_placeholders=False)


@cache
def _parse(text: str) -> Any:
    from lark.exceptions import UnexpectedInput

    if len(text) > _LONGEST:
        raise Misconfigured(f"an expression of {len(text)} characters; {_LONGEST} are allowed")
    try:
        return _parser().parse(text)
    except UnexpectedInput as error:
        raise Misconfigured(
            f"expression {text!r}, column {error.column}: not understood; use names, {{{{…}}}}, numbers, quoted text, "
            "== != < <= > >= contains && || ! ( ) and asInt(…), asFloat(…)"
        ) from None


def _value(tree: Any, text: str, names: Mapping[str, Value], holes: Mapping[str, str]) -> Value:
    def value(node: Any) -> Value:
        return _value(node, text, names, holes)

    def truth(node: Any) -> bool:
        result = value(node)
        if not isinstance(result, bool):
            raise Misconfigured(f"expression {text!r}: {result!r} stands where true or false must stand")
        return result

    first = tree.children[0] if tree.children else None
    match tree.data:
        case "either":
            return truth(first) or truth(tree.children[1])
        case "both":
            return truth(first) and truth(tree.children[1])
        case "negate":
            return not truth(first)
        case "compare":
            return _compare(str(tree.children[1]), value(first), value(tree.children[2]), text)
        case "number":
            return _number(str(first))
        case "string":
            return substitute(str(first)[1:-1], holes)
        case "hole":
            return _spelled(substitute(str(first), holes))
        case "name":
            return names[str(first)]
        case "call":
            return _call(str(first), value(tree.children[1]), text)
        case literal:
            return bool(literal == "true")


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def _spelled(text: str) -> Value:
    """An unquoted `{{…}}` as Argo reads it: a number, true or false where the value spells one, else a string."""
    if text in ("true", "false"):
        return text == "true"
    return _number(text) if re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", text, re.ASCII) else text


def _compare(operator: str, left: Value, right: Value, text: str) -> bool:
    kinds = {bool if isinstance(v, bool) else str if isinstance(v, str) else float for v in (left, right)}
    allowed = {bool: ("==", "!="), float: tuple(_COMPARE)[:6], str: tuple(_COMPARE)}
    if len(kinds) > 1 or operator not in allowed[next(iter(kinds))]:
        raise Misconfigured(
            f"expression {text!r}: {left!r} {operator} {right!r} compares different kinds; use asInt(…)"
        )
    return _COMPARE[operator](left, right)


def _call(function: str, argument: Value, text: str) -> Value:
    if function not in _FUNCTIONS:
        raise Misconfigured(f"expression {text!r}: function {function} is unknown; known are {', '.join(_FUNCTIONS)}")
    try:
        return _FUNCTIONS[function](argument)
    except (ValueError, OverflowError):
        raise Misconfigured(f"expression {text!r}: {function}({argument!r}) is not a number") from None
