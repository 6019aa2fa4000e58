"""Is a served answer the one that was expected?"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["same_answers"]


def same_answers(got: dict[str, NDArray[Any]], expected: dict[str, NDArray[Any]], tolerance: float) -> bool:
    """True when every expected tensor is there, in the same shape and kind, and differs by at most `tolerance`.

    Text is the same when it is equal, or when both are JSON that differs in its numbers by at most `tolerance`.
    """
    import numpy as np

    for name, right in expected.items():
        answer = got.get(name)
        if answer is None or answer.shape != right.shape:
            return False
        if right.dtype.kind in "SU":
            if not all(map(_same_text, answer.reshape(-1), right.reshape(-1), [tolerance] * right.size)):
                return False
        elif answer.dtype != right.dtype or not np.allclose(answer, right, rtol=0, atol=tolerance, equal_nan=True):
            return False
    return True


def _same_text(got: Any, right: Any, tolerance: float) -> bool:
    left, wanted = (value if isinstance(value, bytes) else str(value).encode() for value in (got, right))
    if left == wanted:
        return True
    try:
        return _same_value(json.loads(left), json.loads(wanted), tolerance)
    except (ValueError, RecursionError):
        return False


def _same_value(got: Any, right: Any, tolerance: float) -> bool:
    if isinstance(right, dict):
        same = isinstance(got, dict) and got.keys() == right.keys()
        return same and all(_same_value(got[key], right[key], tolerance) for key in right)
    if isinstance(right, list):
        same = isinstance(got, list) and len(got) == len(right)
        return same and all(_same_value(*pair, tolerance) for pair in zip(got, right, strict=True))
    # Whole numbers are places and counts, which no rounding moves.
    if isinstance(right, float) and isinstance(got, float):
        return math.isclose(got, right, rel_tol=0, abs_tol=tolerance)
    return type(got) is type(right) and bool(got == right)
