"""Promotions that wait for a person, without a forge: one branch with one commit for each.

What is merged is exactly the commit that was judged. Closing a request and moving main are one atomic push.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from gitops.edit import Done, Edit, Tip, edit, find_operation
from gitops.environment_repo import read
from gitops.layout import evidence_path, hold_path, release_path, render
from gitops.release import check_enter, files_of, paths_of, refuse_broken, snapshot_of
from gitops.remote import LOOK_BACK, MAIN, Remote, opened
from gitops.request_files import files_at
from gitops.requests import Request, branch_of, list_requests, prefix, ref_of, strays, waiting
from slipway.environments import Hold
from slipway.errors import Rejected
from slipway.names import check_model
from slipway.operation import Operation, render_message
from slipway.version import ModelVersion, parse_release_env

__all__ = ["Request", "approve", "check_merge", "open_request", "reject", "requests"]


def open_request(
    url: str,
    version: ModelVersion,
    operation: Operation,
    *,
    evidence: bytes,
    base: str,
    keep_older: bool = False,
    at: Callable[[str], None] = lambda point: None,
) -> Request:
    """Propose `version` for operation.environment as a branch on the judged commit `base`; once is enough.

    Requests for older versions of the model are closed by the same push unless `keep_older`, and one for this version
    that cannot be merged as it is (`Request.changed`) is replaced. Raises Rejected when the version is on hold there,
    or a newer one waits.
    """
    if operation.version != version or operation.action != "promote":
        raise Rejected(f"operation {operation.id} does not promote {version}; build it from one version")
    environment = operation.environment
    branch = branch_of(environment, version.name, version.number)

    with opened(url) as remote:
        worthless = {request.head for request in list_requests(remote, environment) if request.changed}
        others = strays(remote, environment).values()

    def change(tip: Tip) -> Edit | Done:
        snapshot = snapshot_of(url, tip, environment)
        check_enter(snapshot, environment, version)
        if snapshot.release(environment, version.name) == version:
            raise Rejected(f"{environment} has {version} already; there is nothing to promote")
        open_now = waiting(tip.branches, environment, version.name, others)
        if version.number in open_now and open_now[version.number] not in worthless:
            return Done(open_now[version.number], created=False, reason=f"{version} waits for {environment} already")
        if newer := [number for number in open_now if number > version.number]:
            raise Rejected(f"{version.name}@{max(newer)} waits for {environment} already; {version} is older")
        older = [] if keep_older else [number for number in open_now if number < version.number]
        closes = {ref_of(environment, version.name, number): (open_now[number], None) for number in older}
        message = render_message(f"Promote {version} to {environment}", operation)
        files = files_of(tip.files, environment, version, evidence)
        return Edit(files, message, base=base, branch=f"refs/heads/{branch}", moves=closes)

    done = edit(
        url,
        change,
        operation_id=operation.id,
        reads=paths_of(environment, version.name),
        branches=prefix(environment),
        at=at,
    )
    for request in requests(url, environment):
        if request.branch == branch:
            return request
    raise Rejected(
        f"{version} does not wait for {environment}: operation {operation.id} was merged or closed "
        f"({done.commit[:12]}); see `slipway history {environment} {version.name}`"
    )


def requests(url: str, environment: str | None = None) -> list[Request]:
    """Every promotion that waits, by environment, model and number; branches that are none of ours are left out."""
    with opened(url) as remote:
        return list_requests(remote, environment)


def approve(
    url: str,
    environment: str,
    model: str,
    *,
    by: str,
    now: datetime,
    expected_head: str | None = None,
    at: Callable[[str], None] = lambda point: None,
) -> Done:
    """Merge the request for a model into main, with the judged commit as second parent, and close it.

    Asked again after it has landed, it answers with the same commit. Raises Rejected when nothing waits, the branch is
    not the judged commit (`expected_head`), the version is on hold, the environment is frozen at `now`, or what it
    serves has changed since it was judged.
    """
    with opened(url) as remote:
        mine = [r for r in list_requests(remote, environment) if r.version.name == check_model(model)]
        if not mine:
            return _approved_before(remote, environment, model)
        request = mine[-1]
        judged = _judged(remote, request, expected_head)
        before = files_at(remote, request.base, environment, model).get(release_path(environment, model))
    path = release_path(environment, model)
    operation = replace(request.operation, approved_by=by)

    def change(tip: Tip) -> Edit | Done:
        snapshot = snapshot_of(url, tip, environment)
        ref = f"refs/heads/{request.branch}"
        if tip.branches.get(ref) != request.head:
            raise Rejected(f"{request.branch} was changed or closed meanwhile; see `slipway approvals`")
        check_enter(snapshot, environment, request.version, now)
        if tip.files.get(path) != before:
            raise Rejected(
                f"{environment} serves {snapshot.release(environment, model) or f'no {model}'} now, which is not "
                f"what {request.version} was judged against; `slipway promote` judges it again"
            )
        files = files_of(tip.files, environment, request.version, judged.get(evidence_path(environment, model)))
        message = render_message(f"Promote {request.version} to {environment}", operation)
        closes = {
            ref_of(environment, model, number): (head, None)
            for number, head in waiting(tip.branches, environment, model).items()
            if number <= request.version.number
        }
        return Edit(files, message, merges=request.head, moves=closes)

    return edit(
        url,
        change,
        operation_id=operation.id,
        reads=paths_of(environment, model),
        branches=prefix(environment),
        at=at,
    )


def check_merge(url: str, request: Request, now: datetime) -> None:
    """Raise Rejected when a request must not be merged now, for any of the reasons for which `approve` refuses."""
    with opened(url) as remote:
        if request not in list_requests(remote, request.environment):
            raise Rejected(f"{request.branch} was changed or closed meanwhile; see `slipway approvals`")
        _judged(remote, request, request.head)
    snapshot = read(url)
    refuse_broken(snapshot, *paths_of(request.environment, request.version.name))
    check_enter(snapshot, request.environment, request.version, now)


def _judged(remote: Remote, request: Request, expected_head: str | None) -> dict[str, bytes]:
    """The files of a request that is what was judged; raises Rejected when it is not."""
    environment, model = request.environment, request.version.name
    if request.changed or (expected_head is not None and request.head != expected_head):
        raise Rejected(
            f"{request.branch} is at {request.head[:12]}, which is not what was judged, or {environment} is not: "
            f"somebody has written there since; it must be judged again, which `slipway promote` does"
        )
    judged, path = files_at(remote, request.head, environment, model), release_path(environment, model)
    if parse_release_env(judged.get(path, b"").decode(errors="replace"), path) != request.version:
        raise Rejected(f"{request.branch} does not release {request.version}; reject it and let it be judged again")
    return judged


def reject(
    url: str,
    environment: str,
    model: str,
    *,
    by: str,
    reason: str,
    now: datetime | None = None,
    expected: ModelVersion | None = None,
) -> None:
    """Close the request for a model, and hold its version so that it is not proposed again by itself.

    expected: what must be waiting. Raises Rejected when nothing waits, or another version than expected.
    """
    check_model(model)
    operation_id = f"reject/{uuid4().hex}"

    def change(tip: Tip) -> Edit | Done:
        snapshot_of(url, tip, environment)
        open_now = waiting(tip.branches, environment, model, others)
        if not open_now:
            raise Rejected(f"no promotion of {model} waits for {environment}; see `slipway approvals`")
        version = found.get(max(open_now))
        closes = {ref_of(environment, model, number): (head, None) for number, head in open_now.items()}
        if version is None or expected not in (None, version):
            raise Rejected(f"{model}@{max(open_now)} was proposed meanwhile; see `slipway approvals`")
        hold = Hold.of(version, environment, f"rejected by {by}: {reason}", now or datetime.now(UTC))
        operation = Operation(operation_id, "hold", environment, version, approved_by=by)
        message = render_message(f"Reject {version} for {environment}", operation, reason)
        return Edit({hold_path(environment, model, version.number): render(hold)}, message, moves=closes)

    with opened(url) as remote:
        found = {r.version.number: r.version for r in list_requests(remote, environment) if r.version.name == model}
        others = strays(remote, environment).values()
    edit(
        url,
        change,
        operation_id=operation_id,
        reads=paths_of(environment, model),
        branches=prefix(environment),
    )


def _approved_before(remote: Remote, environment: str, model: str) -> Done:
    """The merge of what the environment serves now; raises Rejected when it did not come by a promotion."""
    nothing = Rejected(f"no promotion of {model} waits for {environment}; see `slipway approvals`")
    main = remote.branches(MAIN, depth=LOOK_BACK).get(MAIN)
    if main is None:
        raise nothing
    path = release_path(environment, model)
    content = files_at(remote, main, environment, model).get(path)
    if content is None:
        raise nothing
    version = parse_release_env(content.decode(errors="replace"), path)
    found = find_operation(
        remote,
        "Action: promote",
        lambda o: (
            (o.action, o.environment, o.version) == ("promote", environment, version) and o.approved_by is not None
        ),
        main,
    )
    if found is None:
        raise nothing
    return Done(found, created=False, reason=f"{version} was merged into {environment} before")
