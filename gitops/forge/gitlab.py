"""How is GitLab asked, gitlab.com and self-managed?

With python-gitlab's low-level calls: its objects fail in ways of their own when an answer has another shape.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

from gitops.forge import Allowed, CommitStatus, ForgeRequest, Protection, StatusState
from gitops.forge import gitlab_answers as answers
from gitops.forge.api import Comment, Written
from gitops.forge.calls import Call, Missing
from gitops.forge.reading import Answer, more, pages, read
from slipway.errors import Misconfigured

if TYPE_CHECKING:
    import httpx

__all__ = ["GitLabApi"]

T = TypeVar("T", bound=Answer)
_PAGE = 100
_DEVELOPER = 30  # the least role that may write


class GitLabApi:
    """`gitops.forge.api.Api` for GitLab 15.6 and newer."""

    def __init__(self, url: str, project: str, token: str) -> None:
        from gitlab import Gitlab

        client = Call(url, token).client({"PRIVATE-TOKEN": token, "Accept": "application/json"})
        self._gitlab = Gitlab(url, private_token=token, backend=lambda **_: _Backend(client))
        self._url, self._project = url, f"/projects/{_part(project)}"

    def user(self) -> str:
        """See Api.user."""
        return self._get(answers.User, "/user").username

    def of_branch(self, branch: str, base: str) -> Written | None:
        """See Api.of_branch."""
        wanted = {"source_branch": branch, "target_branch": base, "order_by": "created_at", "sort": "desc"}
        found = [
            r for r in self._requests(state="all", **wanted) if (r.source_branch, r.target_branch) == (branch, base)
        ]
        best = next((r for r in found if r.state == "opened"), found[0] if found else None)
        return None if best is None else answers.written(best)

    def numbered(self, number: int) -> Written:
        """See Api.numbered."""
        return answers.written(self._request(number))

    def open_requests(self) -> Iterable[ForgeRequest]:
        """See Api.open_requests."""
        return [answers.written(request).request for request in self._requests(state="opened")]

    def create(self, branch: str, base: str, title: str, body: str) -> Written:
        """See Api.create."""
        if not self.branch_exists(branch):  # GitLab opens a request without it
            raise Missing(f"{self._url}: the project has no branch {branch}; push it first")
        content = {"source_branch": branch, "target_branch": base, "title": title, "description": body}
        return answers.written(
            read(answers.Request, self._json("post", f"{self._project}/merge_requests", content), self._url)
        )

    def rewrite(self, number: int, title: str, body: str) -> None:
        """See Api.rewrite."""
        self._call("put", self._path(number), {"title": title, "description": body})

    def comments(self, number: int) -> Iterable[Comment]:
        """See Api.comments."""
        page = self._request(number).web_url
        for item in self._list(f"{self._path(number)}/notes", order_by="created_at", sort="asc"):
            note = read(answers.Note, item, self._url)
            if not note.system:
                yield self._comment(note, page)

    def add_comment(self, number: int, body: str) -> Comment:
        """See Api.add_comment."""
        note = read(answers.Note, self._json("post", f"{self._path(number)}/notes", {"body": body}), self._url)
        return self._comment(note, self._request(number).web_url)

    def change_comment(self, number: int, comment: int, body: str) -> None:
        """See Api.change_comment."""
        self._call("put", f"{self._path(number)}/notes/{comment}", {"body": body})

    def remove_comment(self, number: int, comment: int) -> None:
        """See Api.remove_comment."""
        self._call("delete", f"{self._path(number)}/notes/{comment}")

    def statuses(self, commit: str) -> Mapping[str, CommitStatus]:
        """See Api.statuses."""
        items = self._list(f"{self._project}/repository/commits/{commit}/statuses")
        found = [read(answers.Status, item, self._url) for item in items]
        return {
            s.name: CommitStatus(answers.READ.get(s.status, "error"), s.description or "", s.target_url or "")
            for s in found
        }

    def add_status(
        self, commit: str, context: str, state: StatusState, description: str, url: str, before: CommitStatus | None
    ) -> None:
        """See Api.add_status."""
        path = f"{self._project}/statuses/{commit}"
        content = {"name": context, "description": description, **({"target_url": url} if url else {})}
        if before is not None and before.state == state == "pending":
            # What is pending cannot become pending again ("Cannot transition status via :enqueue from :pending"): it is
            # ended, and a new one begins.
            self._call("post", path, {**content, "state": answers.WRITTEN["error"]})
        self._call("post", path, {**content, "state": answers.WRITTEN[state]})

    def merge(self, number: int, head: str, subject: str, message: str) -> None:
        """See Api.merge."""
        method = self._get(answers.Project, self._project).merge_method
        if method != "merge":
            raise Misconfigured(
                f"{self._url}: the project merges by {method[:40]!r}; set its merge method to 'Merge commit'"
            )
        if not self._request(number).user.can_merge:
            raise Misconfigured(f"the user of FORGE_TOKEN may not merge !{number}; allow it in the branch's protection")
        content = {
            "sha": head,
            "squash": False,
            "should_remove_source_branch": False,
            "merge_commit_message": f"{subject}\n\n{message}" if message else subject,
        }
        self._call("put", f"{self._path(number)}/merge", content)

    def close(self, number: int) -> None:
        """See Api.close."""
        self._call("put", self._path(number), {"state_event": "close"})

    def branch_exists(self, branch: str) -> bool:
        """See Api.branch_exists."""
        try:
            self._get(answers.Branch, f"{self._project}/repository/branches/{_part(branch)}")
        except Missing:
            self._get(answers.Project, self._project)  # is it the branch that is missing, or the project?
            return False
        return True

    def delete_branch(self, branch: str) -> None:
        """See Api.delete_branch."""
        self._call("delete", f"{self._project}/repository/branches/{_part(branch)}")

    def protection(self, branch: str) -> Protection | None:
        """See Api.protection."""
        if not self._get(answers.Branch, f"{self._project}/repository/branches/{_part(branch)}").protected:
            return None
        approvals = self._approvals(branch)
        try:
            found = self._get(answers.Protected, f"{self._project}/protected_branches/{_part(branch)}")
        except Misconfigured:  # protected by a pattern, or only maintainers may read it
            return Protection(approvals, None, None)
        return Protection(approvals, _who(found.push_access_levels), _who(found.merge_access_levels))

    def _approvals(self, branch: str) -> int:
        # The free edition has neither, and some tokens may not read them.
        try:
            before = self._get(answers.Approvals, f"{self._project}/approvals").approvals_before_merge
        except Misconfigured:
            before = 0
        try:
            items = list(self._list(f"{self._project}/approval_rules"))
        except Misconfigured:
            items = []
        rules = [read(answers.ApprovalRule, item, self._url) for item in items]
        return max(before, answers.approvals(rules, branch))

    def _call(
        self, method: str, path: str, content: dict[str, Any] | None = None, params: dict[str, Any] | None = None
    ) -> httpx.Response:
        # What comes back is what `_Backend` received.
        return cast("httpx.Response", self._gitlab.http_request(method, path, query_data=params, post_data=content))

    def _json(self, method: str, path: str, content: dict[str, Any] | None = None) -> Any:
        return self._call(method, path, content).json()

    def _get(self, kind: type[T], path: str) -> T:
        return read(kind, self._json("get", path), self._url)

    def _list(self, path: str, **parameters: str) -> Iterator[Any]:
        def fetch(page: int) -> tuple[Any, bool]:
            answer = self._call("get", path, params={**parameters, "page": page, "per_page": _PAGE})
            return answer.json(), more(answer)

        return pages(fetch, f"{self._url}{path}")

    def _path(self, number: int) -> str:
        return f"{self._project}/merge_requests/{number}"

    def _request(self, number: int) -> answers.Request:
        return self._get(answers.Request, self._path(number))

    def _requests(self, **filters: str) -> Iterator[answers.Request]:
        for item in self._list(f"{self._project}/merge_requests", **filters):
            request = read(answers.Request, item, self._url)
            if request.source_project_id == request.target_project_id:
                yield request

    def _comment(self, note: answers.Note, page: str) -> Comment:
        return Comment(note.id, note.author.username, note.body, f"{page}#note_{note.id}")


def _part(name: str) -> str:
    return quote(name, safe="")


def _who(levels: Collection[answers.Level]) -> Allowed:
    roles = [
        level for level in levels if level.user_id is None and level.group_id is None and level.deploy_key_id is None
    ]
    if any(role.access_level == _DEVELOPER for role in roles):
        return Allowed(everybody=True)
    # Of a role, a group or a person GitLab says the name that people see, never a login; 0 is "No one".
    return Allowed(others=tuple(level.access_level_description for level in levels if level.access_level != 0))


@dataclass(frozen=True, slots=True)
class _Sent:
    json: Any
    data: None = None
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class _Received:
    response: httpx.Response
    status_code: int


class _Backend:
    """Lets python-gitlab speak through `Call`, as the other adapters do."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    @staticmethod
    def prepare_send_data(files: object, content: object, raw: bool) -> _Sent:
        return _Sent(content)

    def http_request(self, method: str, url: str, *, json: Any = None, params: Any = None, **_: object) -> _Received:
        answer = self.client.request(method, url, json=json, params=params)
        return _Received(answer, answer.status_code)
