"""How is each operation done once, although its answer may be lost and the process killed?

By looking first, and writing only what is different.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import stamina

from gitops.forge import CommitStatus, ForgeRequest, Protection, StatusState
from gitops.forge.api import Api, Comment
from gitops.forge.calls import Missing, Refused, again
from slipway.errors import Rejected
from slipway.names import check_commit

__all__ = ["ForgeRepository"]

_SETTLE = 10.0  # seconds that forges take to find out, after a push, whether a request can be merged


@dataclass(frozen=True, slots=True)
class ForgeRepository:
    """`gitops.forge.Forge` over any adapter."""

    api: Api

    @again
    def user(self) -> str:
        """See Forge.user."""
        return self.api.user()

    @again
    def open_request(self, branch: str, base: str, title: str, body: str) -> ForgeRequest:
        """See Forge.open_request."""
        found = self.api.of_branch(branch, base)
        if found is None or found.request.state != "open":
            try:
                created = self.api.create(branch, base, title, body).request
            except (Refused, Missing) as refusal:
                # Another process may have opened it since; anything else is for a person to read.
                found = self.api.of_branch(branch, base)
                if found is None or found.request.state != "open":
                    raise Rejected(
                        f"no request from {branch} into {base} can be opened ({refusal}); push the branch first, with "
                        "a commit that the base has not"
                    ) from None
            else:
                return self._oldest(created)
        if (_plain(found.title), _plain(found.body)) != (_plain(title), _plain(body)):
            self.api.rewrite(found.request.number, title, body)
        return found.request

    def _oldest(self, created: ForgeRequest) -> ForgeRequest:
        """The oldest open request from the same branch; newer ones are closed.

        Gitea looks whether there is one and opens one without a lock between, so who open at once open one each.
        Whoever comes last sees them all, and nobody closes the oldest.
        """
        place = (created.branch, created.base)
        same = [request for request in self.api.open_requests() if (request.branch, request.base) == place]
        oldest = min(same, key=lambda request: request.number, default=created)
        for double in same:
            if double.number != oldest.number:
                self.api.add_comment(double.number, f"Closed: {oldest.url} asks for the same, and came first.")
                self.api.close(double.number)
        return oldest

    @again
    def request(self, branch: str, base: str = "main") -> ForgeRequest | None:
        """See Forge.request."""
        found = self.api.of_branch(branch, base)
        return None if found is None else self.api.numbered(found.request.number).request

    @again
    def requests(self) -> tuple[ForgeRequest, ...]:
        """See Forge.requests."""
        return tuple(sorted(self.api.open_requests(), key=lambda request: request.number))

    @again
    def comment(self, number: int, marker: str, body: str) -> str:
        """See Forge.comment."""
        if not re.fullmatch(r"[a-z0-9-]{1,60}", marker):
            raise Rejected(f"{marker[:80]!r} is not a marker; use a word of a-z, 0-9 and -")
        sign, me = f"<!-- slipway:{marker} -->", self.api.user()
        text = f"{sign}\n{body}"
        ours = [c for c in self.api.comments(number) if c.author == me and c.body.lstrip().startswith(sign)]
        if not ours:
            return self.api.add_comment(number, text).url
        first: Comment = ours[0]
        if _plain(first.body) != _plain(text):
            self.api.change_comment(number, first.id, text)
        for double in ours[1:]:  # two processes wrote at once
            try:
                self.api.remove_comment(number, double.id)
            except Missing:
                continue
        return first.url

    @again
    def status(self, commit: str, context: str, state: StatusState, description: str, url: str = "") -> None:
        """See Forge.status."""
        wanted = CommitStatus.of(state, description, url)
        now = self.api.statuses(check_commit(commit)).get(context)
        if now != wanted:
            self.api.add_status(commit, context, state, wanted.description, url, now)

    @again
    def statuses(self, commit: str) -> Mapping[str, CommitStatus]:
        """See Forge.statuses."""
        return self.api.statuses(check_commit(commit))

    @again
    def merge(self, number: int, expected_head: str, message: str) -> str:
        """See Forge.merge."""
        check_commit(expected_head)
        subject, _, rest = message.strip().partition("\n")
        # The refusals that a request itself does not explain are repeated: forges look for conflicts in the background.
        for attempt in stamina.retry_context(on=Refused, attempts=None, timeout=_SETTLE, wait_max=2.0):
            with attempt:
                if done := self._merged(number, expected_head):
                    return done
                try:
                    self.api.merge(number, expected_head, subject, rest.strip())
                except Refused as refusal:
                    if done := self._merged(number, expected_head):
                        return done
                    raise Refused(
                        f"request {number} cannot be merged ({refusal}); it conflicts with the base branch, or the "
                        "branch's protection wants approvals, checks or another user: see its page"
                    ) from None
        done = self._merged(number, expected_head)
        if done is None:
            raise Rejected(f"the forge says that it merged request {number}, but it is open; see its page")
        return done

    def _merged(self, number: int, expected_head: str) -> str | None:
        """The merge commit of a request that was merged at this head; None while it can be. Raises Rejected."""
        now = self.api.numbered(number).request
        if now.head != expected_head:
            raise Rejected(
                f"request {number} is at {now.head[:12]} and not at {expected_head[:12]}, which was judged; it must be "
                "judged again"
            )
        if now.state == "closed":
            raise Rejected(f"request {number} was closed without being merged; see {now.url}")
        if now.state == "open":
            return None
        if now.merge_commit is None:
            raise Rejected(f"request {number} was merged without a merge commit; allow merge commits in the project")
        return now.merge_commit

    @again
    def close(self, number: int) -> None:
        """See Forge.close."""
        if self.api.numbered(number).request.state == "open":
            self.api.close(number)

    @again
    def delete_branch(self, branch: str) -> None:
        """See Forge.delete_branch."""
        if not self.api.branch_exists(branch):
            return
        try:
            self.api.delete_branch(branch)
        except (Refused, Missing):
            if self.api.branch_exists(branch):
                raise

    @again
    def protection(self, branch: str) -> Protection | None:
        """See Forge.protection."""
        return self.api.protection(branch)


def _plain(text: str) -> str:
    # Forges trim, and write line ends their own way.
    return text.replace("\r\n", "\n").strip()
