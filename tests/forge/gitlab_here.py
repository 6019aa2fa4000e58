"""A handwritten stand-in for GitLab, because no real one can be had from a package index.

It does what https://docs.gitlab.com/api/ says of the endpoints that slipway uses, on real git repositories: merge
requests, notes, branches, commit statuses with their refused transitions, protected branches, approval rules. That
it does so rightly rests on the documentation alone; what it is good for is that python-gitlab's requests are well
formed and that the adapter keeps the same contract as those of real forges.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from forge_world import GitProject
from front import Asked, Reply, front
from gitea_here import PEOPLE

from gitops.forge.open import open_forge
from gitops.forge.repository import ForgeRepository

__all__ = ["GitLabHere", "GitLabWorld", "start_gitlab"]

_GIT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": "/dev/null"}
# Which events GitLab's state machine knows; what ended begins anew.
_NEXT = {"pending": ("running", "success", "failed", "canceled"), "running": ("success", "failed", "canceled")}


class _Refuse(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class _Project:
    id: int
    path: str
    folder: Path
    requests: list[dict[str, Any]] = field(default_factory=list)
    notes: dict[int, list[dict[str, Any]]] = field(default_factory=dict)  # by request
    statuses: list[dict[str, Any]] = field(default_factory=list)
    approvals: int | None = None  # None: main is not protected

    def git(self, *arguments: str) -> str:
        command = ["git", f"--git-dir={self.folder}", *arguments]
        done = subprocess.run(command, env=_GIT, capture_output=True, text=True, check=False, timeout=30)
        if done.returncode:
            raise _Refuse(422, done.stderr or "conflict")
        return done.stdout.strip()

    def tip(self, branch: str) -> str | None:
        found = self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
        return found or None


@dataclass
class GitLabHere:
    folder: Path
    url: str = ""
    projects: dict[str, _Project] = field(default_factory=dict)
    last_id: int = 0

    def id(self) -> int:
        self.last_id += 1
        return self.last_id

    def project(self, name: str) -> _Project:
        """A new project with one commit on main."""
        found = _Project(self.id(), f"team/{name}", self.folder / f"{name}.git")
        subprocess.run(
            ["git", "init", "--quiet", "--bare", "--initial-branch=main", found.folder],
            env=_GIT,
            check=True,
            timeout=30,
        )
        who = ("-c", "user.name=team", "-c", "user.email=team@forge.test")
        tree = found.git("hash-object", "-t", "tree", "-w", "/dev/null")
        found.git("update-ref", "refs/heads/main", found.git(*who, "commit-tree", "-m", "Begin", tree))
        self.projects[found.path] = found
        return found

    def answer(self, asked: Asked, _: Callable[[], Reply]) -> Reply:
        split = urlsplit(asked.path)
        query = {name: values[-1] for name, values in parse_qs(split.query, keep_blank_values=True).items()}
        token = {name.lower(): value for name, value in asked.headers.items()}.get("private-token", "")
        login = token.removesuffix("-token")
        try:
            if login not in PEOPLE:
                raise _Refuse(401, "401 Unauthorized")
            content = self._route(asked.method, split.path.removeprefix("/api/v4"), query, asked.json() or {}, login)
        except _Refuse as refusal:
            return Reply.of(refusal.status, {"message": str(refusal)})
        if content is None:
            return Reply(204, b"")
        if isinstance(content, list):
            return self._page(content, query)
        return Reply.of(201 if asked.method == "POST" else 200, content)

    def _page(self, items: list[Any], query: dict[str, str]) -> Reply:
        page, size = int(query.get("page", 1)), min(int(query.get("per_page", 20)), 100)
        more = page * size < len(items)
        # GitLab gives whole addresses; only that there is a next page is used of the path here.
        link = {"Link": f'<{self.url}/api/v4/next?page={page + 1}>; rel="next"'} if more else {}
        return Reply.of(200, items[(page - 1) * size : page * size], **link)

    def _route(self, method: str, path: str, query: dict[str, str], body: dict[str, Any], login: str) -> Any:
        if (method, path) == ("GET", "/user"):
            return {"id": PEOPLE.index(login) + 1, "username": login}
        parts = [unquote(part) for part in path.split("/")[1:]]
        if parts[0] != "projects" or parts[1] not in self.projects:
            raise _Refuse(404, "404 Project Not Found")
        project, rest = self.projects[parts[1]], parts[2:]
        match [method, *rest]:
            case ["GET"]:
                return {"id": project.id, "path_with_namespace": project.path, "merge_method": "merge"}
            case ["GET", "merge_requests"]:
                return _listed([self._shown(project, r) for r in project.requests], query)
            case ["POST", "merge_requests"]:
                return self._open(project, body)
            case [_, "merge_requests", number, *deeper]:
                found = next((r for r in project.requests if str(r["iid"]) == number), None)
                if found is None:
                    raise _Refuse(404, "404 Not found")
                return self._request(method, project, found, deeper, body, login)
            case ["GET", "repository", "branches", branch]:
                if project.tip(branch) is None:
                    raise _Refuse(404, "404 Branch Not Found")
                return {"name": branch, "protected": branch == "main" and project.approvals is not None}
            case ["DELETE", "repository", "branches", branch]:
                if project.tip(branch) is None:
                    raise _Refuse(404, "404 Branch Not Found")
                project.git("update-ref", "-d", f"refs/heads/{branch}")
                return None
            case ["GET", "protected_branches", "main"] if project.approvals is not None:
                levels = [{"access_level": 40, "access_level_description": "Maintainers"}]
                nobody = [{"access_level": 0, "access_level_description": "No one"}]
                return {"name": "main", "push_access_levels": nobody, "merge_access_levels": levels}
            case ["GET", "approvals"]:
                return {"approvals_before_merge": 0}  # deprecated: the rule says it
            case ["GET", "approval_rules"]:
                anybody = {"id": 1, "name": "All Members", "rule_type": "any_approver"}
                where = {"applies_to_all_protected_branches": False, "protected_branches": []}
                return [{**anybody, "approvals_required": project.approvals, **where}] if project.approvals else []
            case ["GET", "repository", "commits", commit, "statuses"]:
                return list({s["name"]: s for s in project.statuses if s["sha"] == commit}.values())
            case ["POST", "statuses", commit]:
                return self._status(project, commit, body)
        raise _Refuse(404, "404 Not Found")

    def _status(self, project: _Project, commit: str, body: dict[str, Any]) -> dict[str, Any]:
        state, name = body.get("state"), body.get("name", "default")
        if state not in ("pending", "running", "success", "failed", "canceled"):
            raise _Refuse(400, "state does not have a valid value")
        if len(body.get("description") or "") > 255:
            raise _Refuse(400, "description is too long (maximum is 255 characters)")
        now = next((s for s in reversed(project.statuses) if (s["sha"], s["name"]) == (commit, name)), None)
        if now is None or now["status"] not in _NEXT:
            now = {"id": self.id(), "sha": commit, "name": name, "status": "created", "description": None}
            project.statuses.append(now)
        elif state not in _NEXT[now["status"]]:
            raise _Refuse(400, f"Cannot transition status via :enqueue from :{now['status']}")
        now |= {"status": state, **{k: body[k] for k in ("description", "target_url") if k in body}}
        return now

    def _open(self, project: _Project, body: dict[str, Any]) -> dict[str, Any]:
        ends = {"source_branch": body["source_branch"], "target_branch": body["target_branch"]}
        if any(r["state"] == "opened" and r.items() >= ends.items() for r in project.requests):
            raise _Refuse(409, "Another open merge request already exists for this source branch: !1")
        number = len(project.requests) + 1
        new = {
            "iid": number,
            "id": self.id(),
            "state": "opened",
            "title": body["title"],
            **ends,
            "description": body.get("description"),
            "web_url": f"{self.url}/{project.path}/-/merge_requests/{number}",
            "source_project_id": project.id,
            "target_project_id": project.id,
            "sha": None,
            "merge_commit_sha": None,
            "merged_at": None,
            "closed_at": None,
            "merge_user": None,
        }
        project.requests.append(new)
        return self._shown(project, new)

    def _shown(self, project: _Project, request: dict[str, Any]) -> dict[str, Any]:
        if request["state"] == "opened" and (tip := project.tip(request["source_branch"])):
            request["sha"] = tip
        return {**request, "detailed_merge_status": "mergeable", "user": {"can_merge": True}}

    def _request(
        self,
        method: str,
        project: _Project,
        request: dict[str, Any],
        deeper: list[str],
        body: dict[str, Any],
        login: str,
    ) -> Any:
        notes = project.notes.setdefault(request["iid"], [])
        note = next((n for n in notes if deeper[1:] == [str(n["id"])]), None)
        match [method, *deeper]:
            case ["GET"]:
                return self._shown(project, request)
            case ["PUT"]:
                self._shown(project, request)
                request |= {key: body[key] for key in ("title", "description") if key in body}
                if body.get("state_event") == "close" and request["state"] == "opened":
                    request |= {"state": "closed", "closed_at": _now()}
                return self._shown(project, request)
            case ["PUT", "merge"]:
                return self._merge(project, self._shown(project, request) and request, body, login)
            case ["GET", "notes"]:
                return list(notes)
            case ["POST", "notes"]:
                author = {"username": login}
                notes.append({"id": self.id(), "body": body["body"], "system": False, "author": author})
                return notes[-1]
            case ["PUT", "notes", _] if note is not None:
                note["body"] = body["body"]
                return note
            case ["DELETE", "notes", _] if note is not None:
                notes.remove(note)
                return None
        raise _Refuse(404, "404 Not found")

    def _merge(self, project: _Project, request: dict[str, Any], body: dict[str, Any], login: str) -> dict[str, Any]:
        if request["state"] != "opened" or project.approvals:
            raise _Refuse(405, "405 Method Not Allowed")
        head, base = request["sha"], project.tip(request["target_branch"])
        if body.get("sha") not in (None, head):
            raise _Refuse(409, "SHA does not match HEAD of source branch")
        assert base is not None
        tree = project.git("merge-tree", "--write-tree", base, head).splitlines()[0]
        who = ("-c", f"user.name={login}", "-c", f"user.email={login}@forge.test")
        message = body.get("merge_commit_message") or f"Merge branch '{request['source_branch']}'"
        commit = project.git(*who, "commit-tree", "-p", base, "-p", head, "-m", message, tree)
        project.git("update-ref", f"refs/heads/{request['target_branch']}", commit, base)
        merger = {"username": login}
        request |= {"state": "merged", "merge_commit_sha": commit, "merged_at": _now(), "merge_user": merger}
        return self._shown(project, request)


def _listed(requests: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
    found = [
        request
        for request in requests
        if query.get("state", "all") in ("all", request["state"])
        and all(query.get(key, request[key]) == request[key] for key in ("source_branch", "target_branch"))
    ]
    return found if query.get("sort") == "asc" else found[::-1]


def _now() -> str:
    return datetime.now(UTC).isoformat()


@contextmanager
def start_gitlab(folder: Path) -> Iterator[GitLabHere]:
    """Serve it on a free port; people's tokens are LOGIN-token."""
    here = GitLabHere(folder)
    with front("http://127.0.0.1:9", here.answer) as running:
        here.url = running.url
        yield here


class GitLabWorld(GitProject):
    page: ClassVar[int] = 100
    lacks: ClassVar[dict[str, str]] = {}

    def __init__(self, gitlab: GitLabHere, name: str, folder: Path) -> None:
        self.gitlab, self.project = gitlab, gitlab.project(name)
        super().__init__(folder / "work", str(self.project.folder))
        self.clone()
        self.forge, self.person = (self._repository(person) for person in PEOPLE)

    def _repository(self, login: str) -> ForgeRepository:
        forge = open_forge("gitlab", self.gitlab.url, self.project.path, f"{login}-token")
        assert isinstance(forge, ForgeRepository)
        return forge

    def protect(self, approvals: int) -> None:
        self.project.approvals = approvals
