"""How is Gitea (and Forgejo) asked?

With httpx alone: the clients on the package index are generated, far behind the API, and hide answers' headers; what is
needed here are twenty calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from gitops.forge import Allowed, CommitStatus, ForgeRequest, Protection, StatusState
from gitops.forge import gitea_answers as answers
from gitops.forge.api import Comment, Written
from gitops.forge.calls import Call, Missing
from gitops.forge.reading import Answer, more, pages, read
from slipway.errors import Misconfigured

__all__ = ["GiteaApi"]

T = TypeVar("T", bound=Answer)
_PAGE = 50  # Gitea's own limit


class GiteaApi:
    """`gitops.forge.api.Api` for Gitea 1.20 and newer."""

    def __init__(self, url: str, project: str, token: str) -> None:
        headers = {"Authorization": f"token {token}", "Accept": "application/json"}
        self._client = Call(f"{url}/api/v1", token).client(headers)
        self._url, self._repo = url, f"/repos/{project}"

    def user(self) -> str:
        """See Api.user."""
        return self._get(answers.User, "/user").login

    def of_branch(self, branch: str, base: str) -> Written | None:
        """See Api.of_branch."""
        try:
            some = self._pull(self._json(f"{self._repo}/pulls/{_path(base)}/{_path(branch)}"))
        except Missing:
            self._get(answers.Repository, self._repo)  # is it the request that is missing, or the project?
            return None
        # That was any request of the branch: where it is settled, there may be a newer one.
        newest = some
        if some.request.state != "open":
            for state, sort in (("open", "oldest"), ("closed", "recentupdate")):
                of_ours = (p for p in self._pulls(state, sort) if (p.request.branch, p.request.base) == (branch, base))
                found = next(of_ours, None)
                if found and (state == "open" or found.request.number > newest.request.number):
                    newest = found
                    break
        return self.numbered(newest.request.number)

    def numbered(self, number: int) -> Written:
        """See Api.numbered."""
        return self._pull(self._json(f"{self._repo}/pulls/{number}"))

    def open_requests(self) -> Iterable[ForgeRequest]:
        """See Api.open_requests."""
        return [pull.request for pull in self._pulls("open", "oldest")]

    def create(self, branch: str, base: str, title: str, body: str) -> Written:
        """See Api.create."""
        content = {"head": branch, "base": base, "title": title, "body": body}
        return self._pull(self._json(f"{self._repo}/pulls", "POST", content))

    def rewrite(self, number: int, title: str, body: str) -> None:
        """See Api.rewrite."""
        self._json(f"{self._repo}/pulls/{number}", "PATCH", {"title": title, "body": body})

    def comments(self, number: int) -> Iterable[Comment]:
        """See Api.comments."""
        for item in self._list(f"{self._repo}/issues/{number}/comments"):
            yield self._comment(item)

    def add_comment(self, number: int, body: str) -> Comment:
        """See Api.add_comment."""
        return self._comment(self._json(f"{self._repo}/issues/{number}/comments", "POST", {"body": body}))

    def change_comment(self, number: int, comment: int, body: str) -> None:
        """See Api.change_comment."""
        self._json(f"{self._repo}/issues/comments/{comment}", "PATCH", {"body": body})

    def remove_comment(self, number: int, comment: int) -> None:
        """See Api.remove_comment."""
        self._json(f"{self._repo}/issues/comments/{comment}", "DELETE")

    def statuses(self, commit: str) -> Mapping[str, CommitStatus]:
        """See Api.statuses."""
        path = f"{self._repo}/commits/{commit}/status"

        def fetch(page: int) -> tuple[list[answers.Status], bool]:
            # Forgejo and older Giteas send no Link header here; the page after the last is empty.
            return self._get(answers.Statuses, f"{path}?page={page}&limit={_PAGE}").statuses or [], True

        found = pages(fetch, f"{self._url}{path}")
        return {s.context: CommitStatus(answers.state_of(s.status), s.description, s.target_url) for s in found}

    def add_status(
        self, commit: str, context: str, state: StatusState, description: str, url: str, before: CommitStatus | None
    ) -> None:
        """See Api.add_status."""
        content = {"context": context, "state": state, "description": description, "target_url": url}
        self._json(f"{self._repo}/statuses/{commit}", "POST", content)

    def merge(self, number: int, head: str, subject: str, message: str) -> None:
        """See Api.merge."""
        content = {"Do": "merge", "head_commit_id": head, "MergeTitleField": subject, "MergeMessageField": message}
        self._json(f"{self._repo}/pulls/{number}/merge", "POST", {**content, "delete_branch_after_merge": False})

    def close(self, number: int) -> None:
        """See Api.close."""
        self._json(f"{self._repo}/pulls/{number}", "PATCH", {"state": "closed"})

    def branch_exists(self, branch: str) -> bool:
        """See Api.branch_exists."""
        try:
            self._json(f"{self._repo}/branches/{_path(branch)}")
        except Missing:
            self._get(answers.Repository, self._repo)
            return False
        return True

    def delete_branch(self, branch: str) -> None:
        """See Api.delete_branch."""
        self._json(f"{self._repo}/branches/{_path(branch)}", "DELETE")

    def protection(self, branch: str) -> Protection | None:
        """See Api.protection."""
        found = self._get(answers.Branch, f"{self._repo}/branches/{_path(branch)}")
        if not found.protected:
            return None
        try:
            name = quote(found.effective_branch_protection_name, safe="")
            rule = self._get(answers.Rule, f"{self._repo}/branch_protections/{name}")
        except Misconfigured:  # only an administrator of the project may read who it lists
            return Protection(found.required_approvals, None, None)
        pushers = _who(rule.enable_push_whitelist, rule.push_whitelist_usernames, rule.push_whitelist_teams)
        mergers = _who(rule.enable_merge_whitelist, rule.merge_whitelist_usernames, rule.merge_whitelist_teams)
        return Protection(rule.required_approvals, pushers if rule.enable_push else Allowed(), mergers)

    def _json(self, path: str, method: str = "GET", content: object = None) -> Any:
        return self._client.request(method, path, json=content).json()

    def _get(self, kind: type[T], path: str) -> T:
        return read(kind, self._json(path), self._url)

    def _list(self, path: str, **parameters: str) -> Iterator[Any]:
        def fetch(page: int) -> tuple[Any, bool]:
            answer = self._client.get(path, params={**parameters, "page": page, "limit": _PAGE})
            return answer.json(), more(answer)

        return pages(fetch, f"{self._url}{path}")

    def _pulls(self, state: str, sort: str) -> Iterator[Written]:
        for item in self._list(f"{self._repo}/pulls", state=state, sort=sort):
            pull = read(answers.Pull, item, self._url)
            if pull.head.repo_id == pull.base.repo_id:  # not from a fork
                yield answers.written(pull)

    def _pull(self, item: Any) -> Written:
        pull = read(answers.Pull, item, self._url)
        if pull.state != "open":
            # Gitea answers with the branch's commit now, whatever it was when the request was settled.
            path = f"{self._repo}/git/refs/pull/{pull.number}/head"
            found = self._json(path)
            for ref in found if isinstance(found, list) else [found]:
                seen = read(answers.Ref, ref, self._url)
                if seen.ref == f"refs/pull/{pull.number}/head":
                    return answers.written(pull, seen.object.sha)
        return answers.written(pull)

    def _comment(self, item: Any) -> Comment:
        comment = read(answers.Comment, item, self._url)
        return Comment(comment.id, comment.user.login if comment.user else "", comment.body, comment.html_url)


def _who(listed: bool, logins: Iterable[str] | None, teams: Iterable[str] | None) -> Allowed:
    if not listed:
        return Allowed(everybody=True)
    return Allowed(logins=tuple(logins or ()), others=tuple(teams or ()))


def _path(branch: str) -> str:
    return quote(branch, safe="/")
