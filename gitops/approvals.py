"""Promotions that wait for a person, without a forge: one branch with one commit for each.

What is merged is exactly the commit that was judged. Closing a request and moving main are one atomic push.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from gitops.edit import Done, Edit, Tip, edit, find_operation
from gitops.layout import evidence_path, folder, hold_path, kustomization_path, release_path, render
from gitops.release import check_enter, files_of, paths_of, snapshot_of
from gitops.remote import MAIN, Remote, opened
from gitops.tree import list_files, read_blobs
from slipway.environments import Hold
from slipway.errors import Rejected
from slipway.names import check_environment, check_model, check_number
from slipway.operation import Operation, parse_message, render_message
from slipway.version import ModelVersion, parse_release_env

__all__ = ["Request", "approve", "open_request", "reject", "requests", "waiting_refs"]

PREFIX = "refs/heads/promote/"
_LOOK_BACK = 500


@dataclass(frozen=True, slots=True)
class Request:
    """One promotion that waits."""

    environment: str  # where the version wants to go
    version: ModelVersion
    branch: str  # "promote/production/digits-5"
    head: str  # the branch's commit now
    base: str  # main's commit that was judged
    operation: Operation
    opened_at: datetime
    changed: bool = False  # somebody pushed onto the branch: the head is not what was judged


def open_request(
    url: str,
    version: ModelVersion,
    operation: Operation,
    *,
    evidence: bytes,
    base: str,
    at: Callable[[str], None] = lambda point: None,
) -> Request:
    """Propose `version` for operation.environment as a branch on the judged commit `base`; once is enough.

    Requests for older versions of the model are closed by the same push. Raises Rejected when the version is on hold
    there, or a newer one waits already.
    """
    if operation.version != version or operation.action != "promote":
        raise Rejected(f"operation {operation.id} does not promote {version}; build it from one version")
    environment = operation.environment
    branch = f"promote/{check_environment(environment)}/{version.name}-{version.number}"

    def change(tip: Tip) -> Edit | Done:
        snapshot, _ = snapshot_of(url, tip, environment)
        assert tip.commit is not None
        check_enter(snapshot, environment, version)
        if snapshot.release(environment, version.name) == version:
            raise Rejected(f"{environment} has {version} already; there is nothing to promote")
        waiting = _waiting(tip, environment, version.name)
        if version.number in waiting:
            return Done(waiting[version.number], created=False, reason=f"{version} waits for {environment} already")
        if newer := [number for number in waiting if number > version.number]:
            raise Rejected(f"{version.name}@{max(newer)} waits for {environment} already; {version} is older")
        closes = {_ref(environment, version.name, number): (head, None) for number, head in waiting.items()}
        message = render_message(f"Promote {version} to {environment}", operation)
        files = files_of(tip, environment, version, evidence)
        return Edit(files, message, base=base, branch=f"refs/heads/{branch}", moves=closes)

    done = edit(
        url,
        change,
        operation_id=operation.id,
        reads=paths_of(environment, version.name),
        branches=f"{PREFIX}{environment}/",
        at=at,
    )
    with opened(url) as remote:
        found = _requests(remote, environment)
    for request in found:
        if request.branch == branch:
            return request
    raise Rejected(
        f"{version} does not wait for {environment}: operation {operation.id} was merged or closed "
        f"({done.commit[:12]}); see `slipway history {environment} {version.name}`"
    )


def requests(url: str) -> list[Request]:
    """Every promotion that waits, by environment, model and number; branches that are none of ours are left out."""
    with opened(url) as remote:
        return _requests(remote)


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
        mine = [r for r in _requests(remote, environment) if r.version.name == check_model(model)]
        if not mine:
            return _approved_before(remote, environment, model)
        request = mine[-1]
        judged = _content(remote, request.head, environment, model)
        before = _content(remote, request.base, environment, model).get(release_path(environment, model))
    if request.changed or (expected_head is not None and request.head != expected_head):
        raise Rejected(
            f"{request.branch} is at {request.head[:12]}, which nobody judged; "
            f"`slipway reject {environment} {model}` closes it, the promoter judges and opens it again"
        )
    path = release_path(environment, model)
    if parse_release_env(judged.get(path, b"").decode(errors="replace"), path) != request.version:
        raise Rejected(f"{request.branch} does not release {request.version}; reject it and let it be judged again")
    operation = Operation(
        id=request.operation.id,
        action="promote",
        environment=environment,
        version=request.version,
        source_commit=request.operation.source_commit,
        run=request.operation.run,
        source_env_commit=request.operation.source_env_commit,
        verdict=request.operation.verdict,
        approved_by=by,
    )

    def change(tip: Tip) -> Edit | Done:
        snapshot, _ = snapshot_of(url, tip, environment)
        assert tip.commit is not None
        ref = f"refs/heads/{request.branch}"
        if tip.branches.get(ref) != request.head:
            raise Rejected(f"{request.branch} was changed or closed meanwhile; see `slipway approvals`")
        check_enter(snapshot, environment, request.version, now)
        if tip.files.get(path) != before:
            raise Rejected(
                f"{environment} serves {snapshot.release(environment, model) or f'no {model}'} now, which is not "
                f"what {request.version} was judged against; `slipway reject {environment} {model}` and promote again"
            )
        files: dict[str, bytes | None] = {path: judged[path]}
        evidence = evidence_path(environment, model)
        files[evidence] = judged.get(evidence)
        kustomization = kustomization_path(environment, model)
        if kustomization not in tip.files:
            files[kustomization] = judged.get(kustomization)
        message = render_message(f"Promote {request.version} to {environment}", operation)
        closes = {
            _ref(environment, model, number): (head, None)
            for number, head in _waiting(tip, environment, model).items()
            if number <= request.version.number
        }
        return Edit(files, message, merges=request.head, moves=closes)

    return edit(
        url,
        change,
        operation_id=operation.id,
        reads=paths_of(environment, model),
        branches=f"{PREFIX}{environment}/",
        at=at,
    )


def reject(url: str, environment: str, model: str, *, by: str, reason: str, now: datetime | None = None) -> None:
    """Close the request for a model, and hold its version so that it is not proposed again by itself.

    Raises Rejected when nothing waits.
    """
    check_model(model)
    operation_id = f"reject/{uuid4().hex}"

    def change(tip: Tip) -> Edit | Done:
        snapshot_of(url, tip, environment)
        waiting = _waiting(tip, environment, model)
        if not waiting:
            raise Rejected(f"no promotion of {model} waits for {environment}; see `slipway approvals`")
        version = found.get(max(waiting))
        closes = {_ref(environment, model, number): (head, None) for number, head in waiting.items()}
        if version is None:
            raise Rejected(f"{model}@{max(waiting)} was proposed meanwhile; see `slipway approvals`")
        hold = Hold(
            environment=environment,
            model=model,
            number=version.number,
            digest=version.digest,
            reason=f"rejected by {by}: {reason}"[:1000],
            since=now or datetime.now(UTC),
        )
        operation = Operation(operation_id, "hold", environment, version, approved_by=by)
        message = render_message(f"Reject {version} for {environment}", operation, reason)
        return Edit({hold_path(environment, model, version.number): render(hold)}, message, moves=closes)

    with opened(url) as remote:
        found = {r.version.number: r.version for r in _requests(remote, environment) if r.version.name == model}
    edit(
        url,
        change,
        operation_id=operation_id,
        reads=paths_of(environment, model),
        branches=f"{PREFIX}{environment}/",
    )


def _ref(environment: str, model: str, number: int) -> str:
    return f"{PREFIX}{environment}/{model}-{number}"


def _parse_ref(ref: str) -> tuple[str, str, int] | None:
    """(environment, model, number) of a request's branch; None for any other branch."""
    environment, _, rest = ref.removeprefix(PREFIX).partition("/")
    model, _, number = rest.rpartition("-")
    try:
        return check_environment(environment), check_model(model), check_number(number)
    except Rejected:
        return None


def _waiting(tip: Tip, environment: str, model: str) -> dict[int, str]:
    found: dict[int, str] = {}
    for ref, head in tip.branches.items():
        parsed = _parse_ref(ref)
        if parsed and parsed[:2] == (environment, model):
            found[parsed[2]] = head
    return found


def waiting_refs(tip: Tip, environment: str, model: str) -> list[tuple[str, str]]:
    """(ref, head) of every request for a model, among the branches that an edit saw."""
    return [(_ref(environment, model, number), head) for number, head in _waiting(tip, environment, model).items()]


def _requests(remote: Remote, environment: str | None = None) -> list[Request]:
    prefix = PREFIX if environment is None else f"{PREFIX}{check_environment(environment)}/"
    found = []
    for ref, head in remote.branches(prefix, depth=_LOOK_BACK).items():
        parsed = _parse_ref(ref)
        # The commit that opened the request: the head, unless somebody pushed onto the branch.
        out = remote.git.run("log", "-z", "--first-parent", "--max-count=20", "--format=%H%n%P%n%ct%n%B", head, "--")
        for record in out.decode(errors="replace").split("\0") if parsed else []:
            commit, parents, seconds, message = record.split("\n", 3)
            try:
                operation = parse_message(message)
            except Rejected:
                continue
            if operation is None or operation.version is None or operation.action != "promote":
                continue
            version = operation.version
            if (operation.environment, version.name, version.number) != parsed or len(parents.split()) != 1:
                continue
            opened_at = datetime.fromtimestamp(int(seconds), UTC)
            branch = ref.removeprefix("refs/heads/")
            changed = commit != head
            found.append(Request(parsed[0], version, branch, head, parents, operation, opened_at, changed))
            break
    return sorted(found, key=lambda r: (r.environment, r.version.name, r.version.number))


def _content(remote: Remote, commit: str, environment: str, model: str) -> dict[str, bytes]:
    paths = [folder(environment, model)]
    remote.prefetch(commit, paths)
    entries = [entry for entry in list_files(remote.git, commit, paths) if not entry.oddity]
    blobs = read_blobs(remote.git, (entry.oid for entry in entries))
    return {entry.path: blobs[entry.oid] for entry in entries}


def _approved_before(remote: Remote, environment: str, model: str) -> Done:
    """The merge of what the environment serves now; raises Rejected when it did not come by a promotion."""
    nothing = Rejected(f"no promotion of {model} waits for {environment}; see `slipway approvals`")
    main = remote.branches(MAIN, depth=_LOOK_BACK).get(MAIN)
    if main is None:
        raise nothing
    path = release_path(environment, model)
    content = _content(remote, main, environment, model).get(path)
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
