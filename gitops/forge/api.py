"""What must an adapter be able to ask of its forge? One call each, without a thought about what was done before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gitops.forge import CommitStatus, ForgeRequest, Protection, StatusState

__all__ = ["Api", "Comment", "Written"]


@dataclass(frozen=True, slots=True)
class Written:
    """A request with its text."""

    request: ForgeRequest
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment on a request."""

    id: int
    author: str  # login
    body: str
    url: str


class Api(Protocol):
    """One project on one forge. Every call raises what `gitops.forge.calls.Call` says."""

    def user(self) -> str:
        """The login that the token belongs to."""

    def of_branch(self, branch: str, base: str) -> Written | None:
        """The open request from our own branch into `base`, else the newest settled one, without merged_by."""

    def numbered(self, number: int) -> Written:
        """One request, with everything that the forge knows of it."""

    def open_requests(self) -> Iterable[ForgeRequest]:
        """Every open request of the project's own branches."""

    def create(self, branch: str, base: str, title: str, body: str) -> Written:
        """A new request."""

    def rewrite(self, number: int, title: str, body: str) -> None:
        """Another title and body."""

    def comments(self, number: int) -> Iterable[Comment]:
        """Every comment, the oldest first."""

    def add_comment(self, number: int, body: str) -> Comment:
        """A new comment."""

    def change_comment(self, number: int, comment: int, body: str) -> None:
        """Another body."""

    def remove_comment(self, number: int, comment: int) -> None:
        """Delete a comment."""

    def statuses(self, commit: str) -> Mapping[str, CommitStatus]:
        """The newest status of each context."""

    def add_status(
        self, commit: str, context: str, state: StatusState, description: str, url: str, before: CommitStatus | None
    ) -> None:
        """The context's new status; `before` is what it has now."""

    def merge(self, number: int, head: str, subject: str, message: str) -> None:
        """Merge with a merge commit if the head is still this."""

    def close(self, number: int) -> None:
        """Close without merging."""

    def branch_exists(self, branch: str) -> bool:
        """Whether the project has the branch."""

    def delete_branch(self, branch: str) -> None:
        """Delete it."""

    def protection(self, branch: str) -> Protection | None:
        """See Forge.protection."""
