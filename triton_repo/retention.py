"""Which versions may be removed from the store, and why is each of the others kept?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from slipway.duration import format_duration

__all__ = ["Decision", "Stored", "plan_removal"]


@dataclass(frozen=True, slots=True, order=True)
class Stored:
    """One version in the store."""

    model: str
    number: int
    created: datetime  # aware


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one version."""

    model: str
    number: int
    keep: bool
    reason: str  # one line

    def __str__(self) -> str:
        return f"{'keep' if self.keep else 'remove'} {self.model}@{self.number}: {self.reason}"


def plan_removal(
    stored: Iterable[Stored],
    references: Mapping[tuple[str, int], Sequence[str]],
    *,
    grace: timedelta,
    now: datetime,
) -> list[Decision]:
    """A decision for each version, sorted by model and number.

    references: by (model, number), who needs the version, one line each ("served in staging"). Besides those are kept
    the newest version of every model, and what is younger than `grace`: its release may be on the way.
    """
    versions = sorted(set(stored))
    newest = {version.model: version.number for version in versions}

    def reasons(version: Stored) -> list[str]:
        found = list(references.get((version.model, version.number), ()))
        if version.number == newest[version.model]:
            found.append(f"newest version of {version.model}")
        if now - version.created < grace:
            found.append(f"younger than {format_duration(grace)}")
        return found

    return [
        Decision(v.model, v.number, bool(why), "; ".join(why) or "no environment, history, hold or run needs it")
        for v in versions
        for why in [reasons(v)]
    ]
