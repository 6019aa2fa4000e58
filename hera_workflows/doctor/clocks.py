"""Do the clocks agree? Evidence, signatures and freezes carry times."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from hera_workflows.doctor.finding import Finding, missing, ok
from hera_workflows.doctor.installation import Installation
from slipway.errors import SlipwayError

__all__ = ["LIMIT", "check", "judge"]

LIMIT = timedelta(seconds=30)


def check(installation: Installation) -> Iterator[Finding]:
    """The API server's clock against this machine's, and Prometheus's against the API server's."""
    server = installation.api.now()
    yield judge("the API server's clock", server, "this machine's", datetime.now(UTC))
    try:
        [(_, seconds)] = installation.prometheus("vector(time())")
    except (SlipwayError, ValueError):
        return  # that Prometheus does not answer is said where it is asked for more
    yield judge("Prometheus's clock", datetime.fromtimestamp(seconds, UTC), "the API server's", installation.api.now())


def judge(subject: str, one: datetime, other_name: str, other: datetime) -> Finding:
    """The API server tells whole seconds, and asking takes a moment; LIMIT leaves room for both."""
    apart = abs(one - other)
    if apart > LIMIT:
        return missing(subject, f"is {apart.total_seconds():.0f} s from {other_name}", "let NTP set both")
    return ok(subject, f"agrees with {other_name}")
