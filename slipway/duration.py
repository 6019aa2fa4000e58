"""How long: `90s`, `10m`, `1h30m`, `2d` as people write them in model.yaml."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

__all__ = ["Duration", "format_duration", "parse_duration"]

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_PATTERN = r"(?=.)(?:(\d{1,5})d)?(?:(\d{1,5})h)?(?:(\d{1,5})m)?(?:(\d{1,7})s)?"


def parse_duration(text: Any) -> timedelta:
    """A timedelta from `1h30m`; raises ValueError (so that pydantic can say where)."""
    if isinstance(text, timedelta):
        return text
    match = re.fullmatch(_PATTERN, text, re.ASCII) if isinstance(text, str) else None
    if not match:
        raise ValueError(f"{text!r} is not a duration; write it as 90s, 10m, 1h30m or 2d")
    return timedelta(seconds=sum(int(n or 0) * unit for n, unit in zip(match.groups(), _UNITS.values(), strict=True)))


def format_duration(duration: timedelta) -> str:
    """The shortest spelling that `parse_duration` reads back; parts of a second are dropped."""
    seconds = int(duration.total_seconds())
    parts = []
    for unit, size in _UNITS.items():
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+d)?(\d+h)?(\d+m)?(\d+s)?$", "examples": ["10m", "1h30m"]}),
]
