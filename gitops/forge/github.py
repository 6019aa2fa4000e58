"""How is GitHub asked, github.com and Enterprise Server?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from gitops.forge import Allowed, CommitStatus, ForgeRequest, Protection, StatusState
from gitops.forge import github_answers as answers
from gitops.forge.api import Comment, Written
from gitops.forge.calls import Call, Missing, Unavailable
from gitops.forge.reading import Answer, more, pages, read
from slipway.errors import Misconfigured, SlipwayError

if TYPE_CHECKING:
    import httpx

__all__ = ["GitHubApi"]

T = TypeVar("T", bound=Answer)
_PAGE = 100
# The version that Enterprise Servers know; the next one leaves merge_commit_sha out of requests. Because of it the
# client's typed methods, which speak the newest version only, are not used.
_VERSION = {"X-GitHub-Api-Version": "2022-11-28"}


class GitHubApi:
    """`gitops.forge.api.Api` for GitHub."""

    def __init__(self, url: str, project: str, token: str) -> None:
        from githubkit import GitHub

        api = "https://api.github.com" if url == "https://github.com" else f"{url}/api/v3"
        call = Call(api, token)
        # Retrying is the caller's affair: it must look again before it writes again.
        self._github = GitHub(
            token,
            base_url=api,
            transport=call,
            timeout=call.timeout,
            http_cache=False,
            follow_redirects=False,
            auto_retry=False,
        )
        self._url, self._project, self._repo = url, project, f"/repos/{project}"

    def user(self) -> str:
        """See Api.user."""
        return read(answers.User, self._json("GET", "/user"), self._url).login

    def of_branch(self, branch: str, base: str) -> Written | None:
        """See Api.of_branch."""
        owner = self._project.split("/")[0]
        wanted = {"head": f"{owner}:{branch}", "base": base, "state": "all", "sort": "created", "direction": "desc"}
        found = [pull for pull in self._pulls(**wanted) if (pull.head.ref, pull.base.ref) == (branch, base)]
        best = next((pull for pull in found if pull.state == "open"), found[0] if found else None)
        return None if best is None else answers.written(best)

    def numbered(self, number: int) -> Written:
        """See Api.numbered."""
        return answers.written(read(answers.Pull, self._json("GET", f"{self._repo}/pulls/{number}"), self._url))

    def open_requests(self) -> Iterable[ForgeRequest]:
        """See Api.open_requests."""
        return [answers.written(pull).request for pull in self._pulls(state="open")]

    def create(self, branch: str, base: str, title: str, body: str) -> Written:
        """See Api.create."""
        content = {"head": branch, "base": base, "title": title, "body": body}
        return answers.written(read(answers.Pull, self._json("POST", f"{self._repo}/pulls", content), self._url))

    def rewrite(self, number: int, title: str, body: str) -> None:
        """See Api.rewrite."""
        self._call("PATCH", f"{self._repo}/pulls/{number}", {"title": title, "body": body})

    def comments(self, number: int) -> Iterable[Comment]:
        """See Api.comments."""
        for item in self._list(f"{self._repo}/issues/{number}/comments"):
            yield self._comment(item)

    def add_comment(self, number: int, body: str) -> Comment:
        """See Api.add_comment."""
        return self._comment(self._json("POST", f"{self._repo}/issues/{number}/comments", {"body": body}))

    def change_comment(self, number: int, comment: int, body: str) -> None:
        """See Api.change_comment."""
        self._call("PATCH", f"{self._repo}/issues/comments/{comment}", {"body": body})

    def remove_comment(self, number: int, comment: int) -> None:
        """See Api.remove_comment."""
        self._call("DELETE", f"{self._repo}/issues/comments/{comment}")

    def statuses(self, commit: str) -> Mapping[str, CommitStatus]:
        """See Api.statuses."""
        path = f"{self._repo}/commits/{commit}/status"

        def fetch(page: int) -> tuple[list[answers.Status], bool]:
            answer = self._call("GET", path, params={"page": page, "per_page": _PAGE})
            return read(answers.Statuses, answer.json(), self._url).statuses, more(answer)

        found = pages(fetch, f"{self._url}{path}")
        return {s.context: CommitStatus(s.state, s.description or "", s.target_url or "") for s in found}

    def add_status(
        self, commit: str, context: str, state: StatusState, description: str, url: str, before: CommitStatus | None
    ) -> None:
        """See Api.add_status."""
        content = {"context": context, "state": state, "description": description}
        # An empty address is no address to GitHub.
        self._call("POST", f"{self._repo}/statuses/{commit}", {**content, **({"target_url": url} if url else {})})

    def merge(self, number: int, head: str, subject: str, message: str) -> None:
        """See Api.merge."""
        content = {"merge_method": "merge", "sha": head, "commit_title": subject, "commit_message": message}
        self._call("PUT", f"{self._repo}/pulls/{number}/merge", content)

    def close(self, number: int) -> None:
        """See Api.close."""
        self._call("PATCH", f"{self._repo}/pulls/{number}", {"state": "closed"})

    def branch_exists(self, branch: str) -> bool:
        """See Api.branch_exists."""
        try:
            self._call("GET", f"{self._repo}/git/ref/heads/{quote(branch)}")
        except Missing:
            self._call("GET", self._repo)  # is it the branch that is missing, or the project?
            return False
        return True

    def delete_branch(self, branch: str) -> None:
        """See Api.delete_branch."""
        self._call("DELETE", f"{self._repo}/git/refs/heads/{quote(branch)}")

    def protection(self, branch: str) -> Protection | None:
        """See Api.protection."""
        where = quote(branch)
        classic = read(answers.Branch, self._json("GET", f"{self._repo}/branches/{where}"), self._url).protected
        try:
            rules = [read(answers.Rule, item, self._url) for item in self._list(f"{self._repo}/rules/branches/{where}")]
        except Missing:  # an Enterprise Server without rulesets
            rules = []
        wanted = [rule.parameters or answers.Reviews() for rule in rules if rule.type == "pull_request"]
        if not classic and not wanted:
            return None
        approvals = max((r.required_approving_review_count for r in wanted), default=0)
        mergers = Allowed(everybody=True)
        # Whom a ruleset lets push without a request is not said of a branch.
        pushers = Allowed(others=("whoever may bypass its ruleset",)) if wanted else Allowed(everybody=True)
        if classic:
            try:
                found = read(
                    answers.Protection, self._json("GET", f"{self._repo}/branches/{where}/protection"), self._url
                )
            except Misconfigured:  # only an administrator of the project may read it
                return Protection(approvals, None, None)
            free = () if found.enforce_admins.enabled else ("administrators",)
            if (who := found.restrictions) is not None:
                mergers = _who(who, free)
            pushers = _both(pushers, mergers)
            if (reviews := found.required_pull_request_reviews) is not None:
                approvals = max(approvals, reviews.required_approving_review_count)
                pushers = _both(pushers, _who(reviews.bypass_pull_request_allowances, free))
        return Protection(approvals, pushers, mergers)

    def _call(
        self, method: str, path: str, content: object = None, params: Mapping[str, str | int] | None = None
    ) -> httpx.Response:
        from githubkit.exception import RequestError

        try:
            return self._github.request(method, path, json=content, params=params, headers=_VERSION).raw_response
        except RequestError as error:
            # The client wraps what was raised beneath it.
            if isinstance(error.exc, SlipwayError):
                raise error.exc from None
            raise Unavailable(f"{self._url} has no answer ({type(error.exc).__name__}); see that it runs") from None

    def _json(self, method: str, path: str, content: object = None) -> Any:
        return self._call(method, path, content).json()

    def _list(self, path: str, **parameters: str) -> Iterator[Any]:
        def fetch(page: int) -> tuple[Any, bool]:
            answer = self._call("GET", path, params={**parameters, "page": page, "per_page": _PAGE})
            return answer.json(), more(answer)

        return pages(fetch, f"{self._url}{path}")

    def _pulls(self, **parameters: str) -> Iterator[answers.Pull]:
        for item in self._list(f"{self._repo}/pulls", **parameters):
            pull = read(answers.Pull, item, self._url)
            if pull.head.repo is not None and pull.head.repo.full_name.lower() == self._project.lower():
                yield pull

    def _comment(self, item: Any) -> Comment:
        comment = read(answers.Comment, item, self._url)
        return Comment(comment.id, comment.user.login if comment.user else "", comment.body or "", comment.html_url)


def _who(named: answers.Actors, free: tuple[str, ...]) -> Allowed:
    others = tuple(actor.slug for actor in [*named.teams, *named.apps])
    return Allowed(logins=tuple(user.login for user in named.users), others=(*others, *free))


def _both(one: Allowed, other: Allowed) -> Allowed:
    if one.everybody or other.everybody:
        return other if one.everybody else one
    logins = tuple(login for login in one.logins if login in other.logins)
    return Allowed(logins=logins, others=tuple(dict.fromkeys([*one.others, *other.others])))
