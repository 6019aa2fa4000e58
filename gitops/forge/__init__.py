"""What does slipway ask of a forge, in its own words?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, get_args

from slipway.text import one_line

__all__ = [
    "KINDS",
    "Allowed",
    "CommitStatus",
    "Forge",
    "ForgeRequest",
    "Kind",
    "Protection",
    "RequestState",
    "StatusState",
]

Kind = Literal["github", "gitlab", "gitea"]
KINDS: tuple[Kind, ...] = get_args(Kind)
RequestState = Literal["open", "merged", "closed"]  # closed: without merging
StatusState = Literal["pending", "success", "failure", "error"]


@dataclass(frozen=True, slots=True)
class ForgeRequest:
    """One pull request (GitLab: merge request) of a branch of the repository itself, never of a fork."""

    number: int  # in the repository; what people write as #12 or !12
    url: str  # of its page; https or http
    branch: str  # "promote/production/digits-5"
    base: str  # the branch that it wants into
    head: str  # the branch's commit; once settled, the commit that was merged or closed
    state: RequestState
    mergeable: bool | None = None  # None: the forge has not found out yet, or it is settled
    settled_at: datetime | None = None  # merged or closed then
    merged_by: str | None = None  # the person's login
    merge_commit: str | None = None  # on `base`


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """What a commit's page says under one context."""

    state: StatusState
    description: str  # at most 140 characters
    url: str  # "" for none

    @classmethod
    def of(cls, state: StatusState, text: str, url: str = "") -> CommitStatus:
        """With any text, as a forge keeps it."""
        return cls(state, one_line(text, 140), url)


@dataclass(frozen=True, slots=True)
class Allowed:
    """Whom a branch's protection lets do one thing; nobody else may."""

    everybody: bool = False  # who may write; then nobody is named
    logins: tuple[str, ...] = ()
    others: tuple[str, ...] = ()  # teams, roles and the like, in the forge's words; whom they stand for is not asked


@dataclass(frozen=True, slots=True)
class Protection:
    """Who may change a protected branch."""

    approvals: int  # people who must approve before a request may be merged
    # None: it cannot be seen.
    pushers: Allowed | None  # who may push without a request
    mergers: Allowed | None  # who may merge a request


class Forge(Protocol):
    """One repository on a forge, as one user.

    Everything may be called again: what is there already is found, and written only if it differs. Connection errors,
    5xx and rate limits are tried again within; then TryAgain. Misconfigured: the token, the address, the rights or the
    project's settings are wrong. Rejected: what is asked cannot be done to this request or commit.
    """

    def user(self) -> str:
        """The login that the token belongs to."""

    def open_request(self, branch: str, base: str, title: str, body: str) -> ForgeRequest:
        """The open request from `branch` into `base`, with this title and body; one that is settled stays settled.

        `branch` was pushed before. Raises Rejected when it is not there or differs in nothing from `base`.
        """

    def request(self, branch: str, base: str = "main") -> ForgeRequest | None:
        """The open request from a branch into `base`, else the one that was settled last; None if there never was one.

        A person's refusal is a request that is "closed" at the head that was judged; the branch may have moved on.
        """

    def requests(self) -> tuple[ForgeRequest, ...]:
        """Every open request, by number; `mergeable` is None where the forge's list does not say it."""

    def comment(self, number: int, marker: str, body: str) -> str:
        """The URL of our one comment with this marker (a word), which says `body` afterwards."""

    def status(self, commit: str, context: str, state: StatusState, description: str, url: str = "") -> None:
        """Let a commit's page say this under `context`; a longer description is cut to 140 characters."""

    def statuses(self, commit: str) -> Mapping[str, CommitStatus]:
        """What a commit's page says now, by context."""

    def merge(self, number: int, expected_head: str, message: str) -> str:
        """Merge a request with a merge commit whose second parent is `expected_head`; that merge commit.

        message: its subject, then perhaps an empty line and more. A request that was merged at `expected_head` before
        answers with its merge commit. Raises Rejected when the head is another, the request is closed, conflicts, or
        the branch's protection does not let us.
        """

    def close(self, number: int) -> None:
        """Close a request; one that is settled is left as it is."""

    def delete_branch(self, branch: str) -> None:
        """Delete a branch; one that is gone is fine. Raises Rejected when it is protected."""

    def protection(self, branch: str) -> Protection | None:
        """Who may change a branch; None when it is not protected."""
