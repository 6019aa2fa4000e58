"""What is read of GitLab's JSON, and what does it say in our words?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from pydantic import Field

from gitops.forge import ForgeRequest, RequestState, StatusState
from gitops.forge.api import Written
from gitops.forge.calls import Unavailable
from gitops.forge.reading import Answer, Line, Url, When
from slipway.names import Commit

__all__ = [
    "READ",
    "WRITTEN",
    "ApprovalRule",
    "Approvals",
    "Branch",
    "Level",
    "Note",
    "Project",
    "Protected",
    "Request",
    "Rights",
    "Status",
    "User",
    "approvals",
    "written",
]

_STATES: Mapping[str, RequestState] = {"opened": "open", "merged": "merged", "closed": "closed"}
# GitLab has no "error", and we never cancel anything.
WRITTEN: Mapping[StatusState, str] = {
    "pending": "pending",
    "success": "success",
    "failure": "failed",
    "error": "canceled",
}
READ: Mapping[str, StatusState] = {
    **{theirs: ours for ours, theirs in WRITTEN.items()},
    **dict.fromkeys(("created", "running", "waiting_for_resource", "preparing", "scheduled", "manual"), "pending"),
    "skipped": "success",
}
_UNDECIDED = ("unchecked", "checking", "preparing", "approvals_syncing")


class User(Answer):
    username: Line


class Rights(Answer):
    can_merge: bool = True


class Request(Answer):
    iid: int
    web_url: Url
    title: str = ""
    description: str | None = None
    state: str
    source_branch: Line
    target_branch: Line
    source_project_id: int | None = None  # None: the fork is gone
    target_project_id: int
    sha: Commit | None = None
    detailed_merge_status: str = "unchecked"
    merged_at: When | None = None
    closed_at: When | None = None
    merge_user: User | None = None
    merge_commit_sha: Commit | None = None
    user: Rights = Rights()


class Project(Answer):
    merge_method: str = "merge"


class Note(Answer):
    id: int
    body: str = ""
    system: bool = False
    author: User


class Status(Answer):
    name: Line
    status: str
    description: Line | None = None
    target_url: str | None = None


class Branch(Answer):
    protected: bool = False


class Level(Answer):
    access_level: int | None = None
    access_level_description: Line = ""
    # Where one is set, this is no role.
    user_id: int | None = None
    group_id: int | None = None
    deploy_key_id: int | None = None


class Protected(Answer):
    push_access_levels: tuple[Level, ...] = ()
    merge_access_levels: tuple[Level, ...] = ()


class Approvals(Answer):
    approvals_before_merge: int = Field(default=0, ge=0)  # deprecated; 0 although rules ask


class ForBranch(Answer):
    name: Line  # may be a pattern: "release/*"


class ApprovalRule(Answer):
    rule_type: Line = "regular"
    approvals_required: int = Field(default=0, ge=0)
    applies_to_all_protected_branches: bool = False
    protected_branches: tuple[ForBranch, ...] = ()  # none: every branch


def approvals(rules: Iterable[ApprovalRule], branch: str) -> int:
    """How many people must approve whatever goes into a protected branch; one may count for several rules."""
    return max((rule.approvals_required for rule in rules if _asks(rule, branch)), default=0)


def _asks(rule: ApprovalRule, branch: str) -> bool:
    # Whether this kind asks at all depends on what a report found, such as less coverage.
    if rule.rule_type == "report_approver":
        return False
    if rule.applies_to_all_protected_branches or not rule.protected_branches:
        return True
    return any(fnmatchcase(branch, wanted.name) for wanted in rule.protected_branches)


def written(found: Request) -> Written:
    """A request, from an answer; raises TryAgain while GitLab is about to merge it."""
    state = _STATES.get(found.state)
    if state is None or found.sha is None:
        raise Unavailable(f"{found.web_url} is {found.state[:40]!r} for the moment; try again")
    status = found.detailed_merge_status
    request = ForgeRequest(
        number=found.iid,
        url=found.web_url,
        branch=found.source_branch,
        base=found.target_branch,
        head=found.sha,
        state=state,
        mergeable=None if state != "open" or status in _UNDECIDED else status == "mergeable",
        settled_at=found.merged_at if state == "merged" else found.closed_at if state == "closed" else None,
        merged_by=found.merge_user.username if found.merge_user and state == "merged" else None,
        merge_commit=found.merge_commit_sha if state == "merged" else None,
    )
    return Written(request, found.title, found.description or "")
