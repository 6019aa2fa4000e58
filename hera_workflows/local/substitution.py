"""What stands in a text in place of `{{…}}`."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from slipway.errors import Misconfigured

__all__ = ["holes_in", "item_values", "substitute"]

_HOLE = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_ENCODED = re.compile(
    r"=\s*sprig\.b64enc\(\s*([A-Za-z0-9_.-]+)\s*\)"
)  # the one expression of Argo's that is known here


def substitute(text: str, values: Mapping[str, str]) -> str:
    """`text` with every `{{name}}` replaced once: what a value contains is never looked at again.

    `{{=sprig.b64enc(name)}}` is the value in base64. Raises Misconfigured for a name that is not in `values`.
    """

    def value(match: re.Match[str]) -> str:
        encoded = _ENCODED.fullmatch(match[1])
        try:
            found = values[encoded[1] if encoded else match[1]]
        except KeyError:
            raise Misconfigured(f"{match[0][:200]} is unknown here; known are {', '.join(sorted(values))}") from None
        return base64.b64encode(found.encode()).decode() if encoded else found

    return _HOLE.sub(value, text)


def holes_in(texts: Iterable[str]) -> set[str]:
    """The names between `{{` and `}}` in these texts."""
    names = (match[1] for text in texts for match in _HOLE.finditer(text))
    return {encoded[1] if (encoded := _ENCODED.fullmatch(name)) else name for name in names}


def item_values(item: Any) -> dict[str, str]:
    """The values of `item` and `item.field` for one item of a withParam list: strings as they are, the rest as JSON."""
    values = {"item": _text(item)}
    if isinstance(item, dict):
        values |= {f"item.{key}": _text(value) for key, value in item.items()}
    return values


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
