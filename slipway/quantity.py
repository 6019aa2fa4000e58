"""How much: Kubernetes quantities, `500m`, `2`, `4Gi`, as people write them and as numbers."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import StringConstraints

__all__ = ["Quantity", "Size", "parse_quantity"]

_NUMBER = r"[0-9]{1,12}(\.[0-9]{1,3})?"
_LARGE = "k|Ki|M|Mi|G|Gi|T|Ti"
_FACTORS = {
    "": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip

Quantity = Annotated[str, StringConstraints(pattern=rf"^{_NUMBER}(m|{_LARGE})?$")]
# Bytes, of which nobody means a thousandth: who writes 500m means 500M.
Size = Annotated[str, StringConstraints(pattern=rf"^{_NUMBER}({_LARGE})?$")]


def parse_quantity(text: str) -> float:
    """CPUs or bytes from `500m`, `2`, `4Gi`; raises ValueError."""
    match = re.fullmatch(rf"({_NUMBER})(m|{_LARGE})?", text, re.ASCII)
    if match is None:
        raise ValueError(f"{text[:80]!r} is not a quantity; write it as 500m, 2 or 4Gi")
    return float(match[1]) * _FACTORS[match[3] or ""]
