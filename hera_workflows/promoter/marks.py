"""May a request be merged now? Its head says so: a person must not merge what slipway itself would not merge."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

from gitops.approvals import Request
from gitops.evidence import evidence_at
from gitops.release import paths_of, refuse_broken
from hera_workflows.promoter.scene import read_requests
from slipway.errors import Rejected, SlipwayError, TryAgain
from slipway.evidence import ServedEvidence, parse_evidence
from slipway.verdict import Verdict

if TYPE_CHECKING:
    from gitops.forge import StatusState
    from hera_workflows.promoter.observing import Observed
    from hera_workflows.promoter.scene import Promoter, Scene
    from slipway.version import ModelVersion

__all__ = ["STATUS", "evidence_of", "mark_others", "status_of"]

# On a request's head; a branch protection that asks for it lets nothing be merged but what was judged.
STATUS = "slipway/verdict"
_FAILED = "FAIL since: "


def mark_others(
    promoter: Promoter, scene: Scene, shown: Collection[tuple[str, ModelVersion]], now: datetime
) -> list[SlipwayError]:
    """Let the head of each other request say whether it may be merged now: its version is not served any more.

    shown: (environment, version) of those that this pass presented. What failed while it was served stays so. Returns
    what kept others from it.
    """
    assert promoter.forge is not None, "without a forge nothing is shown"
    forge, trouble = promoter.forge.environments, list[SlipwayError]()
    others = [
        request
        for request in scene.waiting.values()
        if not request.changed
        and (request.environment, request.version) not in shown
        and promoter.model in (None, request.version.name)
    ]
    open_still = read_requests(scene, promoter.env_repo).requests if others else ()
    for request in others:
        if request not in open_still:
            continue  # this pass closed it
        try:
            said, stopped = forge.statuses(request.head).get(STATUS), _stopped(scene, request, now)
            if said is None or said.description.startswith(_FAILED) or (stopped is None and said.state == "success"):
                continue
            state, why = stopped or _asked(evidence_of(promoter.env_repo, request))
            forge.status(request.head, STATUS, state, why, said.url)
        except SlipwayError as error:
            trouble.append(error)
            if isinstance(error, TryAgain):
                break  # it would not answer for the others either
    return trouble


def status_of(scene: Scene, request: Request, evidence: ServedEvidence, seen: Observed) -> tuple[StatusState, str]:
    """What stands on the head: a person must not merge what slipway itself would not merge now."""
    if seen.judgement.verdict is Verdict.FAIL:
        failed = [check.name for check in seen.judgement.checks if check.verdict is Verdict.FAIL]
        return "failure", f"{_FAILED}{', '.join(failed)}"  # without numbers: GitHub keeps 1,000 statuses of a commit
    return _stopped(scene, request, seen.observation.observed_at) or _asked(evidence)


def _asked(evidence: ServedEvidence) -> tuple[StatusState, str]:
    return "success", f"{evidence.verdict}: {evidence.reason}"


def _stopped(scene: Scene, request: Request, now: datetime) -> tuple[StatusState, str] | None:
    """Why the environment lets nobody in, or not this version; None when it does."""
    try:
        refuse_broken(scene.snapshot, *paths_of(request.environment, request.version.name))
    except Rejected as problem:
        return "error", str(problem)
    if (hold := scene.snapshot.held(request.environment, request.version)) is not None:
        return "failure", f"held in {request.environment}: {hold.reason}"
    if (freeze := scene.snapshot.frozen(request.environment, now)) is not None:
        return "pending", f"{request.environment} is frozen: {freeze.reason}"
    return None


def evidence_of(url: str, request: Request) -> ServedEvidence:
    """What a request was asked with; raises Rejected when it carries nothing of the kind."""
    place = (request.head, request.environment, request.version.name)
    found = parse_evidence(evidence_at(url, [place]).get(place, b""), f"evidence of {request.branch}")
    if not isinstance(found, ServedEvidence):
        raise Rejected(f"{request.branch} carries no evidence of what was served; close it and let it be judged again")
    return found
