"""One pass of the promoter: observe every release, judge it, decide, act; then the process ends.

It may be killed anywhere and run again, and two may run at once: every action is one push with an id that follows from
what was judged, and before acting it is checked that what was judged is still what is released.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from gitops.approvals import Request, requests
from gitops.environment_repo import Snapshot, read
from gitops.history import reverted_everywhere
from hera_workflows.acting import Decision, close_stale
from hera_workflows.observing import Observed, observe
from slipway.environments import Environment
from slipway.errors import SlipwayError
from slipway.judge import Judgement
from slipway.promotion import Merge, Nothing, Open, Rollback, Situation, Target, Wait, next_step
from slipway.spec import Promotion
from slipway.verdict import Outcome, Verdict
from slipway.version import ModelVersion

if TYPE_CHECKING:
    from gitops.metrics import LiveMetrics, Measurements
    from triton_repo.store import ModelStore

__all__ = ["POINTS", "Line", "Pass", "Promoter", "Scene", "promote"]

# Where a test may kill the promoter, besides the points of gitops.edit within each action.
POINTS = ("read", "measured", "judged", "decided", "rechecked", "acted", "closed")
# Readiness is dated within the longest soak; no Prometheus looks back further than this.
_LONGEST = timedelta(days=366)

Action = Literal["waiting", "requested", "merged", "rolled back", "held", "nothing", "failed"]


@dataclass(frozen=True, slots=True)
class Promoter:
    """What a pass works on."""

    env_repo: str
    store: ModelStore
    metrics: LiveMetrics
    servers: Mapping[str, str]  # environment -> host:port of Triton's gRPC
    run: str  # the workflow, or whoever runs it; a trailer of every commit
    model: str | None = None  # only this one
    at: Callable[[str], None] = lambda point: None


@dataclass(frozen=True, slots=True)
class Line:
    """What a pass made of one version in one environment, towards one target."""

    environment: str
    version: ModelVersion
    target: str | None
    verdict: Verdict
    action: Action
    reason: str
    commit: str | None = None  # that this pass made
    error: SlipwayError | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a version's manifest says of its promotion."""

    policy: Promotion
    validation: Outcome


@dataclass(frozen=True, slots=True)
class Scene:
    """The environment repository at the commit that is judged."""

    snapshot: Snapshot
    taken_out: Mapping[tuple[str, str], set[int]]  # by (environment, model): numbers that a person reverted
    waiting: Mapping[tuple[str, str], Request]  # by (environment, model)

    def target(self, environment: Environment, version: ModelVersion, now: datetime) -> Target:
        """The next environment as it stands for a version."""
        request = self.waiting.get((environment.name, version.name))
        return Target(
            environment=environment.name,
            accepts=environment.accepts,
            serves=self.snapshot.release(environment.name, version.name),
            hold=self.snapshot.held(environment.name, version),
            freeze=self.snapshot.frozen(environment.name, now),
            left=version.number in self.taken_out.get((environment.name, version.name), ()),
            request_open=request is not None and request.version == version and not request.changed,
        )


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass did."""

    commit: str  # of the env repo, that was judged
    lines: tuple[Line, ...]  # in order of environments and models
    broken: Mapping[str, str]  # paths in the env repo that nobody understands, with the reason
    closed: tuple[Request, ...]  # whose version was taken out of the environment that it comes from


def promote(promoter: Promoter) -> Pass:
    """Judge every release and act on it.

    A version that cannot be judged or acted on becomes a line with its error and stops no other.
    Raises TryAgain when the env repo or Prometheus cannot be reached, Misconfigured when they are not what they should
    be; then nothing was changed.
    """
    scene = _read(promoter)
    promoter.at("read")
    releases = [
        (environment, version)
        for environment in scene.snapshot.environments.environments
        for (name, model), version in sorted(scene.snapshot.releases.items())
        if name == environment.name and promoter.model in (None, model)
    ]
    terms = _terms(promoter.store, [version for _, version in releases])
    soaks = [each.policy.soak for each in terms.values() if isinstance(each, Terms)]
    span = min(max([timedelta(minutes=1), *(soak * 1.1 for soak in soaks)]), _LONGEST)
    measurements = promoter.metrics.measure(span=span, only={"model": promoter.model} if promoter.model else {})
    promoter.at("measured")
    closed = close_stale(promoter, scene)
    if closed:
        scene = replace(scene, waiting=_waiting(promoter))
    lines: list[Line] = []
    for environment, version in releases:
        lines += _judge(promoter, scene, measurements, environment, version, terms[version])
    if any(line.action in ("rolled back", "held") for line in lines):
        closed += close_stale(promoter, _read(promoter))
    return Pass(scene.snapshot.commit, tuple(lines), scene.snapshot.broken, tuple(closed))


def _judge(
    promoter: Promoter,
    scene: Scene,
    measurements: Measurements,
    environment: Environment,
    version: ModelVersion,
    terms: Terms | SlipwayError,
) -> list[Line]:
    if not isinstance(terms, Terms):
        return [Line(environment.name, version, None, Verdict.ERROR, "failed", str(terms), error=terms)]
    now = datetime.now(UTC)
    following = scene.snapshot.environments.following(environment.name)
    targets: list[Target | None] = [scene.target(each, version, now) for each in following]
    situations = [_passed(scene, environment, version, terms, target) for target in targets or [None]]
    seen = observe(
        measurements,
        environment.name,
        version,
        terms.policy,
        store=promoter.store,
        servers=promoter.servers,
        settled=all(isinstance(next_step(situation), Nothing) for situation in situations),
    )
    promoter.at("judged")
    if seen.judgement.verdict is Verdict.FAIL:
        situations = situations[:1]  # it is taken out once, whatever would have come after it
    return [_follow(promoter, scene, replace(s, judgement=seen.judgement), seen) for s in situations]


def _read(promoter: Promoter) -> Scene:
    snapshot = read(promoter.env_repo)
    return Scene(snapshot, reverted_everywhere(promoter.env_repo, start=snapshot.commit), _waiting(promoter))


def _waiting(promoter: Promoter) -> dict[tuple[str, str], Request]:
    return {(request.environment, request.version.name): request for request in requests(promoter.env_repo)}


def _terms(store: ModelStore, versions: Iterable[ModelVersion]) -> dict[ModelVersion, Terms | SlipwayError]:
    from triton_repo.store import find

    found: dict[ModelVersion, Terms | SlipwayError] = {}
    same: dict[Terms, Terms] = {}  # most models have the same few; whole manifests of 10,000 models would be 150 MB
    for version in versions:
        if version in found:
            continue
        try:
            manifest = find(store, version.name, version.number, version.digest)
            terms = Terms(manifest.spec.promotion, manifest.validation.outcome)
            found[version] = same.setdefault(terms, terms)
        except SlipwayError as error:
            found[version] = error
    return found


def _passed(
    scene: Scene, environment: Environment, version: ModelVersion, terms: Terms, target: Target | None
) -> Situation:
    """Where a version stands, as if it had passed."""
    return Situation(
        environment=environment.name,
        version=version,
        policy=terms.policy,
        validation=terms.validation,
        judgement=Judgement(Verdict.PASS, (), ""),
        hold=scene.snapshot.held(environment.name, version),
        target=target,
    )


def _follow(promoter: Promoter, scene: Scene, situation: Situation, seen: Observed) -> Line:
    """Do what follows for one version and one target, and what follows from that."""
    target = situation.target.environment if situation.target else None
    line = Line(situation.environment, situation.version, target, seen.judgement.verdict, "waiting", "")
    decision = Decision(promoter, scene.snapshot, situation, seen)
    request = scene.waiting.get((target or "", situation.version.name))
    try:
        step = next_step(situation)
        promoter.at("decided")
        if isinstance(step, Open) and situation.target is not None:
            request = decision.open()
            line = replace(line, action="requested", reason=step.reason, commit=request.head)
            step = next_step(replace(situation, target=replace(situation.target, request_open=True)))
            if not isinstance(step, Merge):
                return replace(line, reason=f"{line.reason}; {step.reason}")
        if isinstance(step, Merge) and request is not None:
            return replace(line, action="merged", reason=step.reason, commit=decision.merge(request))
        if isinstance(step, Rollback):
            action, reason, commit = decision.roll_back(step.reason)
            return replace(line, action=action, reason=reason, commit=commit)
        return replace(line, action="waiting" if isinstance(step, Wait) else "nothing", reason=step.reason)
    except SlipwayError as error:
        return replace(line, action="failed", reason=str(error), error=error)
