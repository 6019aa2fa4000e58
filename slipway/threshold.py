"""What a gate demands of a number: `>= 0.95`, `<= 40`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

__all__ = ["Bound", "Threshold", "parse_threshold"]

_PATTERN = r"\s*(>=|<=)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*"


@dataclass(frozen=True, slots=True)
class Threshold:
    """A one-sided limit; the limit itself passes."""

    comparison: Literal[">=", "<="]
    value: float

    def met_by(self, measured: float) -> bool:
        """Whether a measured number passes; NaN and infinities never do."""
        if not math.isfinite(measured):
            return False
        return measured >= self.value if self.comparison == ">=" else measured <= self.value

    def __str__(self) -> str:
        return f"{self.comparison} {self.value:g}"


def parse_threshold(text: Any) -> Threshold:
    """A Threshold from `>= 0.95`; raises ValueError (so that pydantic can say where)."""
    if isinstance(text, Threshold):
        return text
    match = re.fullmatch(_PATTERN, text, re.ASCII) if isinstance(text, str) else None
    if not match or not math.isfinite(float(match[2])):
        raise ValueError(f'{text!r} is not a threshold; write it as ">= 0.95" or "<= 40"')
    return Threshold(">=" if match[1] == ">=" else "<=", float(match[2]))


def _render(threshold: Threshold) -> str:
    return f"{threshold.comparison} {threshold.value!r}"


Bound = Annotated[
    Threshold,
    BeforeValidator(parse_threshold),
    PlainSerializer(_render, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\s*(>=|<=)\s*\S+\s*$", "examples": [">= 0.95", "<= 40"]}),
]
