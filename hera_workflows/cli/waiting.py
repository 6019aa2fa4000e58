"""Run the promoter again and again until nothing waits, and say how it goes."""

from __future__ import annotations

import sys
import time

import click

from hera_workflows.promoter import Pass, Promoter, promote
from slipway.errors import TryAgain

__all__ = ["passes"]

_PAUSE = 1.0  # seconds between two passes; new numbers come with the next scrape
_ACTS = ("requested", "merged", "rolled back", "held")


def passes(promoter: Promoter, seconds: float, *, quiet: bool) -> tuple[Pass, list[str]]:
    """The last pass, and what it left waiting when `seconds` were over; one pass when they are 0.

    Actions and progress go to standard error as they happen, unless `quiet`.
    Raises TryAgain when the outside world did not answer until the end.
    """
    began, told = time.monotonic(), ""
    while True:
        left = began + seconds - time.monotonic()
        try:
            done = promote(promoter)
        except TryAgain as error:
            if left <= 0:
                raise
            waits, changed, now = [str(error)], False, str(error)
        else:
            waits = [f"{x.environment} {x.version}: {x.reason}" for x in done.lines if _waits(x.action, x.error)]
            acts = [x for x in done.lines if x.action in _ACTS]
            # What has changed something is looked at once more: something else may follow from it at once.
            changed, now = bool(acts or done.closed), "; ".join(waits)
            if seconds and not quiet:
                for line in acts:
                    _tell(f"{line.environment} {line.version}: {line.action} ({line.reason})")
            if left <= 0 or not (waits or changed):
                _clear()
                return done, waits
        if waits and not quiet:
            told = _progress(now, told, time.monotonic() - began)
        time.sleep(min(_PAUSE, max(left, 0)))


def _waits(action: str, error: Exception | None) -> bool:
    return action == "waiting" or isinstance(error, TryAgain)


def _progress(now: str, told: str, seconds: float) -> str:
    # On a terminal one line that changes in place, in a log one line for each thing that is waited for.
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{f'{seconds:4.0f} s  waiting: {now}'[:110]}", nl=False, err=True)
    elif _without_numbers(now) != _without_numbers(told):
        click.echo(f"waiting: {now}", err=True)
    return now


def _without_numbers(text: str) -> str:
    return "".join(character for character in text if not character.isdigit())


def _tell(text: str) -> None:
    _clear()
    click.echo(text, err=True)


def _clear() -> None:
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)
