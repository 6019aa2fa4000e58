"""One pass of the promoter: observe every release, judge it, decide, act; then the process ends.

It may be killed anywhere and run again, and two may run at once: every action is one push with an id that follows from
what was judged, and before acting it is checked that what was judged is still what is released.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from gitops.promql import spans_of
from hera_workflows.promoter.acting import Decision
from hera_workflows.promoter.marks import mark_others
from hera_workflows.promoter.observing import Observed, observe
from hera_workflows.promoter.progress import tell
from hera_workflows.promoter.pull_requests import present, settle
from hera_workflows.promoter.scene import Line, Pass, Promoter, Scene, Terms, read_requests, read_scene, read_terms
from hera_workflows.promoter.stale import close_stale
from slipway.environments import Environment
from slipway.errors import SlipwayError
from slipway.judge import Judgement
from slipway.promotion import Merge, Nothing, Open, Rollback, Situation, Target, Wait, next_step
from slipway.verdict import Verdict
from slipway.version import ModelVersion

if TYPE_CHECKING:
    from gitops.metrics import Measurements
    from hera_workflows.promoter.servers import Look

__all__ = ["FORGE_POINTS", "POINTS", "promote"]

# Where a test may kill the promoter, besides the points of gitops.edit within each action.
POINTS = ("read", "measured", "judged", "decided", "rechecked", "acted", "closed")
# And where there is a forge.
FORGE_POINTS = ("settled", "asked", "marked", "told", "explained", "superseded", "checked", "merged", "said")


def promote(promoter: Promoter) -> Pass:
    """Judge every release and act on it.

    A version that cannot be judged or acted on becomes a line with its error and stops no other.
    Raises TryAgain when the env repo, Prometheus or the cluster cannot be reached, Misconfigured when they are not what
    they should be; then nothing was changed.
    """
    scene, settled, trouble = _arrive(promoter)
    promoter.at("read")
    releases = [
        (environment, version)
        for environment in scene.snapshot.environments.environments
        for (name, model), version in sorted(scene.snapshot.releases.items())
        if name == environment.name and promoter.model in (None, model)
    ]
    terms = read_terms(promoter.store, [version for _, version in releases])
    *finer, span = spans_of(each.policy.soak for each in terms.values() if isinstance(each, Terms))
    only = {"model": promoter.model} if promoter.model else {}
    measurements = promoter.metrics.measure(span=span, finer=finer, only=only)
    look = promoter.servers.look([each.name for each in scene.snapshot.environments.environments], scene.past)
    promoter.at("measured")
    closed, hindered = close_stale(promoter, scene)
    trouble += hindered
    if closed:
        scene = read_requests(scene, promoter.env_repo)
    # The last environment first: what is bad in production does not wait until staging's replays are over.
    judged = [
        _judge(promoter, scene, measurements, look, environment, version, terms[version])
        for environment, version in reversed(releases)
    ]
    lines = [line for each in reversed(judged) for line in each]
    try:
        if any(line.action in ("rolled back", "held") for line in lines):
            more, hindered = close_stale(promoter, read_scene(promoter.env_repo))
            closed, trouble = closed + more, trouble + hindered
        if promoter.forge is not None and not trouble:
            shown = {(line.target, line.version) for line in lines if line.target and line.page}
            trouble += mark_others(promoter, scene, shown, datetime.now(UTC))
        tell(promoter, lines, datetime.now(UTC))
    except SlipwayError as error:
        trouble.append(error)
    return Pass(
        scene.snapshot.commit, tuple(lines), scene.snapshot.broken, tuple(closed), tuple(settled), tuple(trouble)
    )


def _arrive(promoter: Promoter) -> tuple[Scene, list[str], list[SlipwayError]]:
    """The scene, what people did on the forge before it, and why that could not be taken over.

    A forge that does not answer keeps no bad version in service.
    """
    settled: list[str] = []
    if promoter.forge is not None:
        try:
            # Before the branches are read: a request that is open and has no branch afterwards has lost it.
            shown = promoter.forge.environments.requests()
            scene = read_scene(promoter.env_repo)
            settled = settle(promoter, promoter.forge.environments, shown, scene)
            if not settled:
                return scene, [], []
        except SlipwayError as error:
            return read_scene(promoter.env_repo), settled, [error]
    return read_scene(promoter.env_repo), settled, []


def _judge(
    promoter: Promoter,
    scene: Scene,
    measurements: Measurements,
    look: Look,
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
        served=look(environment.name, version),
        settled=all(isinstance(next_step(situation), Nothing) for situation in situations),
        replay_seconds=promoter.replay_seconds,
    )
    promoter.at("judged")
    situations = [replace(situation, judgement=seen.judgement) for situation in situations]
    if isinstance(next_step(situations[0]), Rollback):
        situations = situations[:1]  # it is taken out once, whatever would have come after it
    return [_follow(promoter, scene, situation, seen) for situation in situations]


def _passed(
    scene: Scene, environment: Environment, version: ModelVersion, terms: Terms, target: Target | None
) -> Situation:
    """Where a version stands, as if it had passed."""
    brought = scene.past.released.get((environment.name, version.name))
    return Situation(
        environment=environment.name,
        version=version,
        policy=terms.policy,
        validation=terms.validation,
        judgement=Judgement(Verdict.PASS, (), ""),
        hold=scene.snapshot.held(environment.name, version),
        target=target,
        returned=brought is not None and brought.before is not None and brought.before.number > version.number,
    )


def _follow(promoter: Promoter, scene: Scene, situation: Situation, seen: Observed) -> Line:
    """Do what follows for one version and one target, and what follows from that."""
    target, verdict = situation.target, seen.judgement.verdict
    line = Line(
        situation.environment,
        situation.version,
        target.environment if target else None,
        verdict,
        "waiting",
        "",
        ready=any(check.name == "ready" and check.verdict is Verdict.PASS for check in seen.judgement.checks),
        stays=situation.returned or situation.policy.rollback == "off",
    )
    decision = Decision(promoter, scene.snapshot, situation, seen)
    try:
        step = next_step(situation)
        promoter.at("decided")
        if isinstance(step, Rollback):
            action, reason, commit = decision.roll_back(step.reason)
            return replace(line, action=action, reason=reason, commit=commit)
        if target is not None:
            request = scene.waiting.get((target.environment, situation.version.name))
            if isinstance(step, Open):
                request = decision.open()
                line = replace(line, action="requested", reason=f"{step.reason}; ", commit=request.head)
                target = replace(target, request_open=True)
            if request is not None and target.request_open:
                page = present(promoter, scene, request, seen) if promoter.forge else None
                line = replace(line, page=page.url if page else None)
                step = next_step(replace(situation, target=replace(target, page=line.page)))
                if isinstance(step, Merge):
                    return replace(line, action="merged", reason=step.reason, commit=decision.merge(request, page))
        calm: Literal["waiting", "nothing"] = "waiting" if isinstance(step, Wait) else "nothing"
        return replace(line, action=line.action if line.commit else calm, reason=f"{line.reason}{step.reason}")
    except SlipwayError as error:
        return replace(line, action="failed", reason=str(error), error=error)
