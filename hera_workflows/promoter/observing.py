"""What was seen of one released version: Prometheus's numbers, readiness, and its golden requests replayed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.errors import SlipwayError, TryAgain
from slipway.judge import Judgement, judge
from slipway.observation import Observation, Replay
from slipway.spec import Promotion
from slipway.verdict import Check, Verdict, worst
from slipway.version import ModelVersion

if TYPE_CHECKING:
    from gitops.metrics import Measurements
    from hera_workflows.promoter.servers import Served
    from triton_repo.store import ModelStore

__all__ = ["Observed", "observe"]


@dataclass(frozen=True, slots=True)
class Observed:
    """An observation and what follows from it."""

    observation: Observation
    judgement: Judgement


def observe(
    measurements: Measurements,
    environment: str,
    version: ModelVersion,
    policy: Promotion,
    *,
    store: ModelStore,
    served: Served,
    settled: bool,
    replay_seconds: float,
) -> Observed:
    """Look at one version, as little as its verdict needs.

    served: what the platform says of it. settled: a PASS would change nothing, so a version that passes on its traffic
    is not sent golden requests again and again. replay_seconds: how long golden requests are sent, about.
    Measurements that fail are recorded in the observation; nothing is raised for them.
    """
    seen, now = _measured(measurements, environment, version, served), measurements.at
    without_replay = judge(seen, policy.model_copy(update={"replay": 0}) if policy.replay else policy, now)
    passes = without_replay.verdict is Verdict.PASS
    ready_everywhere = (
        seen.reconciled is not False and seen.replicas is not None and seen.ready_replicas == seen.replicas
    )
    if passes and settled:
        return Observed(seen, without_replay)
    if (
        without_replay.verdict is not Verdict.FAIL
        and ready_everywhere
        and not seen.errors
        and (passes or policy.replay)
    ):
        seen = _asked(seen, store, served.address, replay_seconds)
        return Observed(seen, _so_far(judge(seen, policy, now), seen, policy))
    return Observed(seen, judge(seen, policy, now) if policy.replay else without_replay)


def _so_far(judgement: Judgement, seen: Observation, policy: Promotion) -> Judgement:
    """A replay that took too long shows that a version is bad, never that it is good."""
    if seen.replay is None or judgement.verdict is Verdict.FAIL:
        return judgement
    # What earlier passes sent is among the requests.
    came = seen.replay.sent + int(seen.requests or 0)
    if came >= policy.replay:
        return judgement
    reason = f"{came:,} of {policy.replay:,} requests came so far; the next pass sends more golden ones"
    short = Check(
        name="replay",
        verdict=Verdict.INSUFFICIENT_DATA,
        value=came,
        threshold=f">= {policy.replay}",
        reason=reason,
    )
    checks = tuple(short if c.name == "replay" and c.verdict is Verdict.PASS else c for c in judgement.checks)
    verdict = worst(checks)
    return Judgement(verdict, checks, "; ".join(c.reason for c in checks if c.verdict is verdict))


def _measured(measurements: Measurements, environment: str, version: ModelVersion, served: Served) -> Observation:
    errors: list[str] = []
    try:
        measured = measurements.of(environment, version.name, version.number)
    except SlipwayError as error:
        errors.append(str(error))
        measured = None
    return Observation(
        environment=environment,
        model=version.name,
        number=version.number,
        digest=version.digest,
        observed_at=measurements.at,
        window_seconds=(measured.window if measured else measurements.window).total_seconds(),
        reconciled=served.live,
        waits_for=served.waits_for,
        replicas=_most(served.replicas, measured.replicas if measured else None),
        ready_replicas=measured.ready_replicas if measured else None,
        ready_since=measured.ready_since if measured else None,
        requests=measured.requests if measured else None,
        failures=measured.failures if measured else None,
        p95_ms=measured.p95_ms if measured else None,
        p95_requests=measured.p95_requests if measured else None,
        replay=None,
        errors=errors,
    )


def _most(told: int | None, watched: int | None) -> int | None:
    # A replica that Prometheus does not watch yet has shown nothing; one that it still watches may yet answer.
    counts = [count for count in (told, watched) if count is not None]
    return max(counts) if watched is not None else None


def _asked(seen: Observation, store: ModelStore, address: str | None, seconds: float) -> Observation:
    """The observation with what Triton itself says: Prometheus may lag behind a release by a scrape."""
    if address is None:
        return seen
    try:
        if not _ready(address, seen):
            return seen.model_copy(update={"reconciled": False})
        replayed = _replay(seen, store, address, seconds)
    except SlipwayError as error:
        return seen.model_copy(update={"errors": [*seen.errors, str(error)]})
    return seen.model_copy(update={"reconciled": True, "replay": replayed})


def _ready(address: str, seen: Observation) -> bool:
    from triton_repo.control import TritonControl

    with TritonControl(address, None, timeout=10) as control:
        return control.ready(seen.model, seen.number)


def _replay(seen: Observation, store: ModelStore, address: str, seconds: float) -> Replay | None:
    """Every golden request once, and more of them as long as the version has seen fewer than the policy asks for.

    What takes longer than `seconds` is left to the next pass, which begins where this one ended.
    """
    from triton_repo.fetch import read_published
    from triton_repo.golden import load_golden
    from triton_repo.replay import replay
    from triton_repo.store import find

    manifest = find(store, seen.model, seen.number, seen.digest)
    wanted = manifest.spec.promotion.replay
    if not wanted:
        return None
    golden = load_golden(read_published(store, manifest, "golden.npz"))
    before = int(seen.requests or 0)
    count = max(min(len(golden), wanted), wanted - before)
    tolerance, deadline = manifest.spec.serving.tolerance, time.monotonic() + seconds

    def send() -> Replay:
        left = deadline - time.monotonic()
        return replay(address, seen.model, seen.number, golden, count, tolerance, begin=before, seconds=left)

    sent = send()
    # A machine that stood still for a moment looks the same once; only a version that never answers does so twice.
    if sent.failed and sent.failed == sent.late and not sent.mismatched:
        sent = send()
    # Requests that failed because the server went away say nothing of the version.
    if sent.failed and not _ready(address, seen):
        raise TryAgain(f"Triton at {address} stopped serving {seen.model}@{seen.number} during the replay")
    return sent
