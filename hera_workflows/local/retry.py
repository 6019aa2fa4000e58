"""Whether a failed attempt is tried again, and after how long."""

from __future__ import annotations

from collections.abc import Sequence

from hera_workflows.local.expression import evaluate
from hera_workflows.local.manifest import RetryStrategy
from hera_workflows.local.quantity import parse_seconds
from hera_workflows.local.result import NodeResult
from slipway.errors import Misconfigured

__all__ = ["seconds_until_retry"]

_LONGEST = 120.0  # seconds that somebody sits through; the same command goes on with the run later


def seconds_until_retry(
    strategy: RetryStrategy | None, last: NodeResult, starts: Sequence[float], now: float
) -> float | None:
    """Seconds to wait before the next attempt; None when `last` is final, or the wait too long for this machine.

    last: the attempt that failed; starts: when each attempt so far began, in seconds since 1970, the last one included.
    """
    if strategy is None:
        return None
    policy = strategy.retry_policy or ("Always" if strategy.expression else "OnFailure")
    if policy != "Always" and (policy == "OnError") != (last.phase == "Error"):
        return None
    if len(starts) > _whole(strategy.limit, "limit"):
        return None
    if strategy.expression is not None and not evaluate(
        strategy.expression,
        {
            "lastRetry.exitCode": "-1" if last.exit_code is None else str(last.exit_code),
            "lastRetry.status": last.phase,
            "lastRetry.duration": str(last.seconds),
            "lastRetry.message": last.message,
        },
    ):
        return None
    backoff = strategy.backoff
    if backoff is None:
        return 0.0
    where = "retryStrategy.backoff"
    # The exponent is bounded so that a hundred retries do not overflow.
    wait = parse_seconds(backoff.duration, f"{where}.duration")
    wait *= float(max(1, _whole(backoff.factor, "backoff.factor"))) ** min(len(starts) - 1, 64)
    if backoff.cap is not None:
        wait = min(wait, parse_seconds(backoff.cap, f"{where}.cap"))
    if backoff.max_duration is not None and now + wait > starts[0] + parse_seconds(
        backoff.max_duration, f"{where}.maxDuration"
    ):
        return None
    return wait if wait <= _LONGEST else None


def _whole(value: int | str, what: str) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Misconfigured(f"retryStrategy.{what} is {text[:80]!r}; give a whole number")
    return int(text)
