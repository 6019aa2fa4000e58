"""Which promotions wait for a person? Each is a branch `promote/<environment>/<model>-<number>` with one commit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from gitops.git import commit_time
from gitops.layout import release_path
from gitops.remote import LOOK_BACK, MAIN, Remote
from gitops.request_files import files_at, releases_only
from slipway.errors import Rejected
from slipway.names import check_environment, check_model, check_number
from slipway.operation import Operation, parse_message
from slipway.version import ModelVersion

__all__ = ["Request", "branch_of", "list_requests", "parse_ref", "prefix", "ref_of", "strays", "waiting"]

_PREFIX = "refs/heads/promote/"


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
    # Not to be merged as it is: somebody pushed onto the branch, its commit does more than release the version, or what
    # it writes is not what it was when this was judged, the release above all. Opening the request again replaces it.
    changed: bool = False


def branch_of(environment: str, model: str, number: int) -> str:
    """The branch of a request: promote/production/digits-5."""
    return f"promote/{check_environment(environment)}/{check_model(model)}-{check_number(number)}"


def ref_of(environment: str, model: str, number: int) -> str:
    """The full ref of a request's branch."""
    return f"refs/heads/{branch_of(environment, model, number)}"


def parse_ref(ref: str) -> tuple[str, str, int] | None:
    """(environment, model, number) of the full ref of a request's branch; None for any other branch."""
    if not ref.startswith(_PREFIX):
        return None
    environment, _, rest = ref.removeprefix(_PREFIX).partition("/")
    model, _, number = rest.rpartition("-")
    try:
        return check_environment(environment), check_model(model), check_number(number)
    except Rejected:
        return None


def waiting(branches: Mapping[str, str], environment: str, model: str, strays: Collection[str] = ()) -> dict[int, str]:
    """Number -> head of every request for a model, among branches (full ref -> commit) that are not at `strays`."""
    found: dict[int, str] = {}
    for ref, head in branches.items():
        parsed = parse_ref(ref)
        if parsed and parsed[:2] == (environment, model) and head not in strays:
            found[parsed[2]] = head
    return found


def strays(remote: Remote, environment: str | None = None) -> dict[str, str]:
    """Branches that are named like requests, of all or of one environment, and are none: full ref -> head."""
    branches = remote.branches(prefix(environment), depth=LOOK_BACK)
    return {ref: head for ref, head in branches.items() if _request(remote, ref, head) is None}


def prefix(environment: str | None = None) -> str:
    """Every request's branch, or those of one environment, begins with this."""
    return _PREFIX if environment is None else f"{_PREFIX}{check_environment(environment)}/"


def list_requests(remote: Remote, environment: str | None = None) -> list[Request]:
    """Every request, by environment, model and number; branches that are none of ours are left out."""
    refs = remote.branches(prefix(environment), MAIN, depth=LOOK_BACK)
    main = refs.pop(MAIN, None)
    found = []
    for ref, head in refs.items():
        request = _request(remote, ref, head)
        if request is not None and main is not None:
            found.append(replace(request, changed=request.changed or _changed(remote, request, main)))
    return sorted(found, key=lambda r: (r.environment, r.version.name, r.version.number))


def _changed(remote: Remote, request: Request, main: str) -> bool:
    place = (request.environment, request.version.name)
    base, head, now = (files_at(remote, commit, *place) for commit in (request.base, request.head, main))
    writes = {release_path(*place)} | {path for path in base.keys() | head.keys() if base.get(path) != head.get(path)}
    # What it writes somebody has written since: git would not merge it, or production serves another version.
    moved = any(base.get(path) != now.get(path) for path in writes)
    return moved or not releases_only(remote, request.base, request.head, request.environment, request.version)


def _request(remote: Remote, ref: str, head: str) -> Request | None:
    place = parse_ref(ref)
    if place is None:
        return None
    # The commit that opened the request: the head, unless somebody pushed onto the branch.
    out = remote.git.run("log", "-z", "--first-parent", "--max-count=20", "--format=%H%n%P%n%ct%n%B", head, "--")
    for record in filter(None, out.decode(errors="replace").split("\0")):
        commit, parents, seconds, message = record.split("\n", 3)
        try:
            operation = parse_message(message)
        except Rejected:
            continue
        if operation is None or operation.version is None or operation.action != "promote":
            continue
        version = operation.version
        if (operation.environment, version.name, version.number) == place and len(parents.split()) == 1:
            opened_at = commit_time(seconds)
            branch = ref.removeprefix("refs/heads/")
            return Request(place[0], version, branch, head, parents, operation, opened_at, commit != head)
    return None
