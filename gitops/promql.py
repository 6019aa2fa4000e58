"""Which questions Prometheus is asked: every PromQL query is built here, a fixed number for any number of models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

__all__ = ["ERROR_RESPONSE", "Queries", "queries", "quote", "selector", "since", "spans_of"]

_VERSION = "environment, model, version"
# Latency quantiles are NaN while nobody asks, so the last one within this stretch speaks.
_LATENCY_SECONDS = 300
_STEPS = 60
_SHORTEST = timedelta(minutes=1)
_CLASS = 4  # times the span before; nine of them reach beyond the longest soak, whatever people write
_LOOKS = 288  # within a window; every five minutes of a day
# Our model.py counts the errors that it answers under this reason; for Triton they are successes.
ERROR_RESPONSE = "ERROR_RESPONSE"


def quote(value: str) -> str:
    """A PromQL string literal that means exactly `value`.

    Everything but plain printable ASCII is written as escapes, so nothing in a value can end the literal.
    Raises ValueError for lone surrogates, which no label value can hold.
    """
    value.encode()
    return '"' + "".join(c if " " <= c <= "~" and c not in '"\\' else f"\\U{ord(c):08x}" for c in value) + '"'


def selector(metric: str, labels: Mapping[str, str]) -> str:
    """`metric{label="value",…}`, matched exactly; label names come from our code, values may come from anywhere."""
    return f"{metric}{{{','.join(f'{name}={quote(value)}' for name, value in labels.items())}}}"


@dataclass(frozen=True, slots=True)
class Queries:
    """One field a question; all are evaluated at the same moment."""

    # Servers that are scraped, by environment and, where a server is one model's, by its `layout.kubernetes_name`.
    replicas: str
    ready_replicas: str  # servers in which a version's series exist: Triton creates them on load, drops them on unload
    ready_since: str  # seconds since 1970 at which the last of a version's series began; absent if before `span`
    successes: str
    failure_series: str  # how many there are: their absence must not pass for the absence of failures
    failures: str  # by reason, without zeros: five reasons a model would be most of all data
    p95_us: str  # of the slowest server
    lately: str  # requests that succeeded in the stretch from which p95_us may be
    duplicates: str  # versions with two series where one was meant


def queries(window: timedelta, span: timedelta, only: Mapping[str, str], job: str = "triton") -> Queries:
    """The questions about every version of every model whose labels are those of `only`.

    Counts cover `window` at most, and never more than the time since a server loaded the version.
    `span` is how far back beginnings are looked for, to 1/60 of it (one second at least).
    """
    labels = {"job": job, **only}
    success = selector("nv_inference_request_success", labels)
    failure = selector("nv_inference_request_failure", labels)
    answered = selector("slipway_request_error", labels)
    latency = selector("nv_inference_request_summary_us", {**labels, "quantile": "0.95"})
    up = selector("up", {k: v for k, v in labels.items() if k in ("job", "environment")})
    step = max(1, -(-_seconds(span) // _STEPS))
    # A restart of the server between two steps shows as a beginning too: its series are gone for a scrape at least.
    began = f"timestamp({success} unless {success} offset {step}s)"
    # A server that began again may have counted past what it had: successes tell, for most failures never change.
    look = max(1, -(-_seconds(window) // _LOOKS))
    restarted = f"resets({success}[{_seconds(window)}s:{look}s]) > 0"
    same_life = f"unless on ({_VERSION}, instance) ({restarted})"
    failed = f"({_grown(failure, window)} or {_grown(answered, window)})"
    duplicates = " or ".join(
        f"count by ({_VERSION}, instance{more}) ({series}) > 1"
        for series, more in ((success, ""), (failure, ", reason"), (latency, ""))
    )
    return Queries(
        replicas=f"count by (environment, serves) ({up})",
        ready_replicas=f"count by ({_VERSION}) ({success})",
        ready_since=f"max by ({_VERSION}) ({began} or max_over_time({began}[{_seconds(span)}s:{step}s]))",
        successes=f"sum by ({_VERSION}) (({_grown(success, window)} {same_life}) or {success})",
        failure_series=f"count by ({_VERSION}) ({failure})",
        failures=f"sum by ({_VERSION}, reason) (({failed} {same_life}) or {failure} or {answered}) != 0",
        p95_us=f"max by ({_VERSION}) ({latency} >= 0 or last_over_time(({latency} >= 0)[{_LATENCY_SECONDS}s:15s]))",
        lately=f"sum by ({_VERSION}) ({since(success, timedelta(seconds=_LATENCY_SECONDS))})",
        duplicates=f"count by ({_VERSION}) ({duplicates})",
    )


def spans_of(soaks: Iterable[timedelta]) -> list[timedelta]:
    """The spans in which these soaks can be told, the shortest first, at least one.

    Few for any number of soaks, and none much longer than its soak: a step of a month's span hides a soak of seconds.
    """
    spans: set[timedelta] = set()
    for soak in set(soaks):
        span = _SHORTEST
        while span < soak * 1.1:
            span *= _CLASS
        spans.add(span)
    return sorted(spans) or [_SHORTEST]


def since(counter: str, window: timedelta) -> str:
    """How much a counter has grown within `window`, its whole value where it is younger than that."""
    return f"{_grown(counter, window)} or {counter}"


def _grown(counter: str, window: timedelta) -> str:
    # Not increase(): that extrapolates, misses what came before the first scrape, and reads every sample in between.
    # A counter starts at 0 when a server loads the version, so its value is the count since then, warm-up requests
    # included; where it is older than the window, what it was at the window's start is taken off.
    return f"({counter} - ({counter} offset {_seconds(window)}s <= {counter}))"


def _seconds(duration: timedelta) -> int:
    return max(1, int(duration.total_seconds()))
