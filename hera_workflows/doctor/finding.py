"""What did a check find, and what should a person do about it?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from slipway.errors import Misconfigured, TryAgain

__all__ = ["Finding", "State", "exit_code", "missing", "note", "ok", "unknown"]


class State(StrEnum):
    """How one thing is."""

    OK = "ok"
    NOTE = "note"  # works as it is; somebody may want to know
    MISSING = "missing"  # a person must change something
    UNKNOWN = "unknown"  # could not be asked from here


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    state: State
    subject: str  # what was looked at: "secret slipway/slipway-webhook"
    message: str  # how it is
    remedy: str = ""  # what to do; empty when all is well


def ok(subject: str, message: str) -> Finding:
    """It is as it should be."""
    return Finding(State.OK, subject, message)


def note(subject: str, message: str, remedy: str) -> Finding:
    """It is as it may be, and works; the remedy is for who wants it otherwise."""
    return Finding(State.NOTE, subject, message, remedy)


def missing(subject: str, message: str, remedy: str) -> Finding:
    """Slipway, or a part of it, does not work until a person has done what the remedy says."""
    return Finding(State.MISSING, subject, message, remedy)


def unknown(subject: str, message: str, remedy: str) -> Finding:
    """It could not be asked; what the remedy says lets it be asked."""
    return Finding(State.UNKNOWN, subject, message, remedy)


def exit_code(findings: Iterable[Finding]) -> int:
    """78 when something is missing, else 75 when something could not be asked, else 0."""
    states = {finding.state for finding in findings}
    if State.MISSING in states:
        return Misconfigured.exit_code
    return TryAgain.exit_code if State.UNKNOWN in states else 0
