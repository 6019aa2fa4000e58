"""What is read of Gitea's JSON, and what does it say in our words?"""

from __future__ import annotations

from pydantic import Field

from gitops.forge import ForgeRequest, RequestState, StatusState
from gitops.forge.api import Written
from gitops.forge.reading import Answer, Line, Url, When
from slipway.names import Commit

__all__ = [
    "Branch",
    "Comment",
    "End",
    "Pull",
    "Ref",
    "Repository",
    "Rule",
    "Status",
    "Statuses",
    "User",
    "state_of",
    "written",
]


class User(Answer):
    login: Line


class Repository(Answer):
    id: int


class End(Answer):
    label: Line  # the branch, also after it is gone
    sha: str = ""
    repo_id: int = 0


class Pull(Answer):
    number: int
    html_url: Url
    title: str = ""
    body: str = ""
    state: str
    merged: bool = False
    mergeable: bool = False
    merge_commit_sha: Commit | None = None
    merged_by: User | None = None
    closed_at: When | None = None
    head: End
    base: End


class Ref(Answer):
    class Target(Answer):
        sha: Commit

    ref: str
    object: Target


class Comment(Answer):
    id: int
    body: str = ""
    html_url: Url
    user: User | None = None


class Status(Answer):
    context: Line
    status: str
    description: Line = ""
    target_url: str = ""


class Statuses(Answer):
    statuses: list[Status] | None = None


class Branch(Answer):
    protected: bool = False
    required_approvals: int = 0
    effective_branch_protection_name: str = ""


class Rule(Answer):
    enable_push: bool = False
    enable_push_whitelist: bool = False
    push_whitelist_usernames: list[Line] | None = None
    push_whitelist_teams: list[Line] | None = None
    enable_merge_whitelist: bool = False
    merge_whitelist_usernames: list[Line] | None = None
    merge_whitelist_teams: list[Line] | None = None
    required_approvals: int = Field(default=0, ge=0)


def written(pull: Pull, head: str | None = None) -> Written:
    """A request, from an answer."""
    state: RequestState = "merged" if pull.merged else "open" if pull.state == "open" else "closed"
    request = ForgeRequest(
        number=pull.number,
        url=pull.html_url,
        branch=pull.head.label,
        base=pull.base.label,
        head=head or pull.head.sha,
        state=state,
        # False also stands for "not looked at yet".
        mergeable=(pull.mergeable or None) if state == "open" else None,
        settled_at=None if state == "open" else pull.closed_at,
        merged_by=pull.merged_by.login if pull.merged_by else None,
        merge_commit=pull.merge_commit_sha if pull.merged else None,
    )
    return Written(request, pull.title, pull.body)


def state_of(state: str) -> StatusState:
    """A status, in our words; Gitea knows a warning too."""
    known: dict[str, StatusState] = {"pending": "pending", "success": "success", "failure": "failure"}
    return known.get(state, "error")
