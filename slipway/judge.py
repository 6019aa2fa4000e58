"""Judge what was seen of a served version by its policy: the five verdicts, each with its numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from slipway.duration import format_duration
from slipway.observation import Observation
from slipway.spec import Promotion
from slipway.text import one_line
from slipway.threshold import Threshold
from slipway.verdict import Check, Verdict, worst

__all__ = ["DOUBT", "Judgement", "judge", "proven_above"]

# The chance, at one look, of calling a version bad whose true error ratio is just allowed. Small, because the
# promoter looks again every few minutes and because what follows is a rollback.
DOUBT = 0.001


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, the checks that it follows from, and the deciding numbers in one line."""

    verdict: Verdict
    checks: tuple[Check, ...]
    reason: str


def judge(observation: Observation, policy: Promotion, now: datetime) -> Judgement:
    """The verdict on one version in one environment at `now`.

    Not being READY in every replica yet is waiting, never failure; until then nothing else is judged but failure.
    Failures decide early when they are too many to be chance, a wrong golden answer decides at once, and latency
    only when `policy.min_requests` were served. Absent numbers are NO_DATA; failed measurements are ERROR.
    """
    ready = _ready(observation)
    checks = [Check(name="measurement", verdict=Verdict.ERROR, reason=one_line(error)) for error in observation.errors]
    checks.append(ready)
    served = [_soak(observation, policy, now), _requests(observation, policy), _errors(observation, policy)]
    if policy.p95_ms is not None:
        served.append(_latency(observation, policy, policy.p95_ms))
    if policy.replay:
        served.append(_replay(observation, policy))
    checks += [c for c in served if ready.verdict is Verdict.PASS or c.verdict is Verdict.FAIL]
    verdict = worst(checks)
    return Judgement(verdict, tuple(checks), "; ".join(c.reason for c in checks if c.verdict is verdict))


def proven_above(failures: int, requests: int, limit: float) -> bool:
    """Whether so many failures rule out, beyond DOUBT, that the true error ratio is `limit` or less.

    The exact one-sided binomial test: P(X >= failures) < DOUBT for X ~ Binomial(requests, limit). One failure alone
    proves nothing unless none is allowed. Source: Clopper and Pearson 1934.
    """
    if failures == 0 or limit >= 1:
        return False
    if limit <= 0:
        return True
    if failures == 1 or failures <= requests * limit:
        return False
    # Beyond this the logarithms below lose their last digits; less evidence in the same ratio errs towards waiting.
    if requests > 10**12:
        failures, requests = failures * 10**12 // requests, 10**12
        if failures <= requests * limit:
            return False
    log_term = (
        math.lgamma(requests + 1)
        - math.lgamma(failures + 1)
        - math.lgamma(requests - failures + 1)
        + failures * math.log(limit)
        + (requests - failures) * math.log1p(-limit)
    )
    term = math.exp(log_term)
    tail = 0.0
    # Terms shrink from here on, because failures > requests * limit.
    for count in range(failures, requests + 1):
        tail += term
        if tail >= DOUBT:
            return False
        if term < tail * 1e-12 or term == 0:
            break
        term *= (requests - count) / (count + 1) * limit / (1 - limit)
    return True


def _ready(seen: Observation) -> Check:
    def answer(verdict: Verdict, reason: str) -> Check:
        return Check(name="ready", verdict=verdict, reason=reason)

    if seen.reconciled is False:
        why = one_line(seen.waits_for or "the servers do not serve this version so far")
        return answer(Verdict.INSUFFICIENT_DATA, f"not ready yet: {why}")
    if not seen.replicas or seen.ready_replicas is None:
        return answer(Verdict.NO_DATA, "no replica was seen")
    if seen.ready_replicas < seen.replicas:
        return answer(
            Verdict.INSUFFICIENT_DATA, f"not ready yet: ready in {seen.ready_replicas} of {seen.replicas} replicas"
        )
    return answer(Verdict.PASS, f"ready in {seen.ready_replicas} of {seen.replicas} replicas")


def _soak(seen: Observation, policy: Promotion, now: datetime) -> Check:
    limit = f">= {format_duration(policy.soak)}"
    if seen.ready_since is None:
        return Check(name="soak", verdict=Verdict.NO_DATA, threshold=limit, reason="unknown since when it is ready")
    passed = now - seen.ready_since
    return Check(
        name="soak",
        verdict=Verdict.PASS if passed >= policy.soak else Verdict.INSUFFICIENT_DATA,
        value=passed.total_seconds(),
        threshold=limit,
        reason=f"ready for {format_duration(max(passed, passed * 0))}; {format_duration(policy.soak)} needed",
    )


def _requests(seen: Observation, policy: Promotion) -> Check:
    limit = f">= {policy.min_requests}"
    if seen.requests is None:
        return Check(name="requests", verdict=Verdict.NO_DATA, threshold=limit, reason="no request counts")
    enough = seen.requests >= policy.min_requests
    return Check(
        name="requests",
        verdict=Verdict.PASS if enough else Verdict.INSUFFICIENT_DATA,
        value=seen.requests,
        threshold=limit,
        reason=f"{_count(seen.requests)}; {policy.min_requests:,} needed",
    )


def _errors(seen: Observation, policy: Promotion) -> Check:
    if seen.requests is None or seen.failures is None:
        what = "no failure counts" if seen.requests is not None else "no request counts"
        return Check(name="error_ratio", verdict=Verdict.NO_DATA, threshold=str(policy.error_ratio), reason=what)
    failures = math.floor(sum(seen.failures.values()))
    requests = max(math.ceil(seen.requests), failures)
    by_reason = ", ".join(f"{n:g} {reason or 'unnamed'}" for reason, n in sorted(seen.failures.items()) if n)
    return _ratio("error_ratio", failures, requests, policy.error_ratio, policy.min_requests, by_reason)


def _ratio(name: str, failures: int, requests: int, limit: Threshold, needed: int, detail: str) -> Check:
    ratio = failures / requests if requests else 0.0
    allowed = f"{limit.comparison} {limit.value * 100:g} %"
    reason = f"{ratio * 100:.3g} % errors in {_count(requests)}{f' ({detail})' if detail else ''}; {allowed} allowed"
    if proven_above(failures, requests, limit.value):
        verdict = Verdict.FAIL
    elif requests < needed:
        verdict = Verdict.INSUFFICIENT_DATA
    elif limit.met_by(ratio):
        verdict = Verdict.PASS
    else:
        verdict = Verdict.INSUFFICIENT_DATA
        more = failures / limit.value - requests
        reason += ", but that may be chance"
        # A limit may be so small that no number of requests would do.
        if 0 < more < 10**12:
            reason += f": {math.ceil(more):,} more without an error would settle it"
    return Check(name=name, verdict=verdict, value=ratio, threshold=str(limit), reason=reason)


def _latency(seen: Observation, policy: Promotion, limit: Threshold) -> Check:
    if seen.p95_ms is None:
        return Check(name="p95_ms", verdict=Verdict.NO_DATA, threshold=str(limit), reason="no latency was measured")
    # Of the requests that a quiet environment had all day the latency says nothing: one slow one is their p95.
    known = min(count for count in (seen.requests or 0, seen.p95_requests) if count is not None)
    reason = f"p95 {seen.p95_ms:.3g} ms; {limit} ms allowed"
    if limit.met_by(seen.p95_ms):
        verdict = Verdict.PASS
    elif known < policy.min_requests:
        verdict = Verdict.INSUFFICIENT_DATA
        reason += f", but that is of {_count(known)}; {policy.min_requests:,} needed"
    else:
        verdict = Verdict.FAIL
    return Check(name="p95_ms", verdict=verdict, value=seen.p95_ms, threshold=str(limit), reason=reason)


def _replay(seen: Observation, policy: Promotion) -> Check:
    replay = seen.replay
    if replay is None or replay.sent == 0:
        return Check(name="replay", verdict=Verdict.NO_DATA, reason="no golden request was replayed")
    if replay.mismatched:
        reason = f"{replay.mismatched:,} of {replay.sent:,} golden requests were answered wrongly; none is allowed"
        return Check(name="replay", verdict=Verdict.FAIL, value=replay.mismatched, threshold="<= 0", reason=reason)
    answered = _ratio("replay", replay.failed, max(replay.sent, replay.failed), policy.error_ratio, 1, "")
    return answered.model_copy(update={"reason": f"no golden request answered wrongly; {answered.reason}"})


def _count(requests: float) -> str:
    return f"{requests:,.0f} request{'' if requests == 1 else 's'}"
