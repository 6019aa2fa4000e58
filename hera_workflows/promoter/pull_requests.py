"""What does the forge show of the promotions that wait, and what did people do to them there?

Nothing is remembered: each pass compares the branches with the forge's requests, so it may be killed anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gitops.approvals import Request, reject
from gitops.proposal import Links, checks_table, proposal
from gitops.remote import opened
from gitops.requests import parse_ref, strays
from hera_workflows.promoter.marks import STATUS, evidence_of, status_of
from slipway.errors import Rejected, TryAgain

if TYPE_CHECKING:
    from gitops.forge import Forge, ForgeRequest
    from hera_workflows.promoter.observing import Observed
    from hera_workflows.promoter.scene import Forges, Promoter, Scene
    from slipway.operation import Operation

__all__ = ["explain", "present", "settle"]

_NOT_JUDGED = "not what was judged; it is judged again, or close it"


def settle(promoter: Promoter, forge: Forge, shown: Sequence[ForgeRequest], scene: Scene) -> list[str]:
    """Carry out what people decided on the forge: a line for each decision.

    shown: the forge's open requests, as they were before `scene` was read. A merged request's branch is deleted. One
    that a person closed is rejected: its version is held, so that it is not proposed again. One whose branch is gone is
    closed; one whose branch somebody wrote anew stays, for it is judged again. Raises what the forge raises.
    """
    done: list[str] = []
    open_now = {request.branch for request in shown}
    for request in scene.requests:
        if promoter.model not in (None, request.version.name):
            continue
        if request.branch in open_now:
            if request.changed:
                forge.status(request.head, STATUS, "error", _NOT_JUDGED)
            continue
        found = forge.request(request.branch)
        if found is None or found.state == "open" or found.head != request.head:
            continue  # that one is another promotion of the same version; this one is not on the forge yet
        newest = scene.waiting[request.environment, request.version.name]
        released = scene.snapshot.release(request.environment, request.version.name) == request.version
        if found.state == "closed" and request == newest and not released:
            _reject(promoter, request, found)
            done.append(f"{request.version} for {request.environment} was closed by a person: {found.url}")
        else:
            forge.delete_branch(request.branch)
            if found.state == "merged":
                by = found.merged_by or "somebody"
                done.append(f"{request.version} for {request.environment} was merged by {by}: {found.url}")
        promoter.at("settled")
    branches = {request.branch for request in scene.requests}
    unknown = [pull for pull in shown if parse_ref(f"refs/heads/{pull.branch}") and pull.branch not in branches]
    rewritten = _rewritten(promoter.env_repo) if unknown else {}
    for pull in unknown:
        if (head := rewritten.get(f"refs/heads/{pull.branch}")) is not None:
            forge.status(head, STATUS, "error", _NOT_JUDGED)
        else:
            forge.comment(pull.number, "gone", "Closed: its branch is gone, so this is not proposed any more.")
            forge.close(pull.number)
        promoter.at("settled")
    return done


def _rewritten(env_repo: str) -> dict[str, str]:
    """Branches of requests on which nothing is left of what was judged: full ref -> head."""
    with opened(env_repo) as remote:
        return strays(remote)


def present(promoter: Promoter, scene: Scene, request: Request, seen: Observed) -> ForgeRequest:
    """Let the forge show a promotion that waits: its pull request, the verdict on its head, and what was seen lately.

    Requests for older versions are closed with a link to it. Raises TryAgain when somebody settled it a moment ago, and
    what the forge raises.
    """
    assert promoter.forge is not None, "without a forge nothing is shown"
    forge = promoter.forge.environments
    found = forge.request(request.branch)
    if found is not None and found.state != "open" and found.head == request.head:
        raise TryAgain(f"{found.url} was {found.state} a moment ago; run again")
    evidence = evidence_of(promoter.env_repo, request)
    links = _links(promoter.forge, scene, request.operation, promoter.run, evidence.validation.node)
    text = proposal(evidence, request.operation, links)
    pull = forge.open_request(request.branch, "main", text.title, text.body)
    promoter.at("asked")
    state, why = status_of(scene, request, evidence, seen)
    forge.status(request.head, STATUS, state, why, pull.url)
    promoter.at("marked")
    checks = checks_table(seen.judgement.checks)
    # Not the page of this pass: a comment is written again when what it says is other.
    since = f" since [the workflow that asked]({links.judging})" if links.judging else " lately"
    lately = f"Seen in {evidence.judged_in}{since}: **{seen.judgement.verdict}**\n\n{checks}\n"
    forge.comment(pull.number, "seen", lately)
    promoter.at("told")
    for older in scene.requests:
        same = (older.environment, older.version.name) == (request.environment, request.version.name)
        if same and older.version.number < request.version.number:
            # The branch last: without it nobody would know of a request that is still open.
            if (
                left := explain(forge, older, f"Closed: {request.version} took its place, see {pull.url}.")
            ) is not None:
                promoter.at("explained")
                forge.close(left.number)
            promoter.at("superseded")
            forge.delete_branch(older.branch)
    return pull


def _links(forges: Forges, scene: Scene, operation: Operation, run: str, node: str | None) -> Links:
    """The pages of who trained the version and who judged it, of its report, and of its source."""
    bumps = [event.operation for event in scene.past.events if event.operation and event.operation.action == "bump"]
    trained = next((bump.run for bump in reversed(bumps) if bump.version == operation.version and bump.run), None)
    return Links(
        training=forges.page(trained) if trained else "",
        report=forges.report(trained, node) if trained and node else "",
        judging=forges.page(operation.run or run),
        source=forges.commit(operation.source_commit) if operation.source_commit else "",
    )


def explain(forge: Forge, request: Request, why: str) -> ForgeRequest | None:
    """Say in an open request why it is about to be closed; None when the forge has none."""
    found = forge.request(request.branch)
    if found is None or found.state != "open":
        return None
    forge.comment(found.number, "closed", why)
    return found


def _reject(promoter: Promoter, request: Request, closed: ForgeRequest) -> None:
    try:
        reject(
            promoter.env_repo,
            request.environment,
            request.version.name,
            by="who closed the request",
            reason=closed.url,
            expected=request.version,
        )
    except Rejected:
        return  # Another process was first, or another version was proposed: the next pass looks again.
