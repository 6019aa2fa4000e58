"""How much: a manifest's quantities and Argo's durations as numbers."""

from __future__ import annotations

import re

from slipway import quantity
from slipway.errors import Misconfigured

__all__ = ["parse_quantity", "parse_seconds"]

_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_quantity(text: str, where: str) -> float:
    """CPUs or bytes from `500m`, `2`, `4Gi`; raises Misconfigured, naming `where`."""
    try:
        return quantity.parse_quantity(text)
    except ValueError as error:
        raise Misconfigured(f"{where}: {error}") from None


def parse_seconds(text: str, where: str) -> float:
    """Seconds from `2s`, `1h30m`, `90`; raises Misconfigured, naming `where`."""
    if re.fullmatch(r"[0-9]{1,9}", text, re.ASCII):
        return float(text)
    if not re.fullmatch(r"(?:[0-9]{1,9}(?:\.[0-9]{1,6})?(?:ms|s|m|h|d))+", text, re.ASCII):
        raise Misconfigured(f"{where}: {text[:80]!r} is not a duration; write it as 2s, 10m or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9.]+)(ms|s|m|h|d)", text))
