"""What a judgement can say, and how single checks add up to it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

__all__ = ["Check", "Outcome", "Verdict", "outcome", "worst"]


class Verdict(StrEnum):
    """What was seen of a served version. Only FAIL rolls back; only PASS promotes."""

    PASS = "PASS"
    FAIL = "FAIL"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"  # some evidence, not enough of it yet: keep waiting
    NO_DATA = "NO_DATA"  # nothing measurable: absent, empty, NaN or infinite
    ERROR = "ERROR"  # the measurement itself failed


class Outcome(StrEnum):
    """What validation says of a candidate before anything is served."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"  # goes on to the first environment, never merged automatically


class Check(BaseModel):
    """One question that was asked of a version and its answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str  # "accuracy", "slice writer=3", "error_ratio", "replay"
    verdict: Verdict
    reason: str  # one line with the number and the threshold
    value: float | None = None
    threshold: str | None = None


# FAIL first: a version that is seen to fail is rolled back whatever else could not be measured.
_ORDER = (Verdict.FAIL, Verdict.ERROR, Verdict.NO_DATA, Verdict.INSUFFICIENT_DATA, Verdict.PASS)


def worst(checks: Iterable[Check]) -> Verdict:
    """The verdict of all checks together; no checks at all is NO_DATA, never PASS."""
    seen = {check.verdict for check in checks}
    return next((verdict for verdict in _ORDER if verdict in seen), Verdict.NO_DATA)


def outcome(checks: Iterable[Check]) -> Outcome:
    """What validation's checks add up to: one FAIL fails, anything else but PASS leaves it INCONCLUSIVE."""
    verdict = worst(checks)
    if verdict is Verdict.FAIL:
        return Outcome.FAIL
    return Outcome.PASS if verdict is Verdict.PASS else Outcome.INCONCLUSIVE
