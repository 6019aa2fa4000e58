"""What stands in a text in place of `{{…}}`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from slipway.errors import Misconfigured

__all__ = ["holes_in", "item_values", "substitute"]

_HOLE = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)


def substitute(text: str, values: Mapping[str, str]) -> str:
    """`text` with every `{{name}}` replaced once: what a value contains is never looked at again.

    Raises Misconfigured for a name that is not in `values`.
    """

    def value(match: re.Match[str]) -> str:
        try:
            return values[match[1]]
        except KeyError:
            raise Misconfigured(f"{match[0][:200]} is unknown here; known are {', '.join(sorted(values))}") from None

    return _HOLE.sub(value, text)


def holes_in(texts: Iterable[str]) -> set[str]:
    """The names between `{{` and `}}` in these texts."""
    return {match[1] for text in texts for match in _HOLE.finditer(text)}


def item_values(item: Any) -> dict[str, str]:
    """The values of `item` and `item.field` for one item of a withParam list: strings as they are, the rest as JSON."""
    values = {"item": _text(item)}
    if isinstance(item, dict):
        values |= {f"item.{key}": _text(value) for key, value in item.items()}
    return values


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
