"""What is read of GitHub's JSON, and what does it say in our words?"""

from __future__ import annotations

from pydantic import Field

from gitops.forge import ForgeRequest, RequestState, StatusState
from gitops.forge.api import Written
from gitops.forge.reading import Answer, Line, Url, When
from slipway.names import Commit

__all__ = [
    "Actors",
    "Branch",
    "Comment",
    "End",
    "Named",
    "Protection",
    "Pull",
    "Repository",
    "Reviews",
    "Rule",
    "Status",
    "Statuses",
    "Switch",
    "User",
    "written",
]


class User(Answer):
    login: Line


class Repository(Answer):
    full_name: Line


class End(Answer):
    ref: Line
    sha: Commit
    repo: Repository | None = None  # None: the fork is gone


class Pull(Answer):
    number: int
    html_url: Url
    title: str = ""
    body: str | None = None
    state: str
    merged_at: When | None = None
    closed_at: When | None = None
    mergeable: bool | None = None
    merge_commit_sha: Commit | None = None
    merged_by: User | None = None
    head: End
    base: End


class Comment(Answer):
    id: int
    body: str | None = None
    html_url: Url
    user: User | None = None


class Status(Answer):
    context: Line
    state: StatusState
    description: Line | None = None
    target_url: str | None = None


class Statuses(Answer):
    statuses: list[Status]


class Branch(Answer):
    protected: bool = False


class Named(Answer):
    slug: Line


class Actors(Answer):
    users: tuple[User, ...] = ()
    teams: tuple[Named, ...] = ()
    apps: tuple[Named, ...] = ()


class Reviews(Answer):
    required_approving_review_count: int = Field(default=0, ge=0)
    bypass_pull_request_allowances: Actors = Actors()  # left out when nobody may


class Switch(Answer):
    enabled: bool = False


class Protection(Answer):
    required_pull_request_reviews: Reviews | None = None
    restrictions: Actors | None = None
    enforce_admins: Switch = Switch()


class Rule(Answer):
    type: Line
    parameters: Reviews | None = None


def written(pull: Pull) -> Written:
    """A request, from an answer."""
    state: RequestState = "merged" if pull.merged_at else "open" if pull.state == "open" else "closed"
    request = ForgeRequest(
        number=pull.number,
        url=pull.html_url,
        branch=pull.head.ref,
        base=pull.base.ref,
        head=pull.head.sha,
        state=state,
        mergeable=pull.mergeable if state == "open" else None,
        settled_at=None if state == "open" else pull.closed_at,
        merged_by=pull.merged_by.login if pull.merged_by else None,
        # An open request has one too: of a merge that GitHub tried.
        merge_commit=pull.merge_commit_sha if state == "merged" else None,
    )
    return Written(request, pull.title, pull.body or "")
