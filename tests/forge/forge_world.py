"""What tests do on a forge besides calling it: push commits as slipway does, protect a branch, be another person."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import pytest
from gitea_here import PEOPLE, Gitea

from gitops.forge.open import open_forge
from gitops.forge.repository import ForgeRepository

__all__ = ["BRANCH", "ForgeWorld", "GitProject", "GiteaWorld", "need", "until_mergeable"]

BRANCH = "promote/production/digits-5"
_WHO = {"GIT_AUTHOR_NAME": "slipway", "GIT_AUTHOR_EMAIL": "slipway@forge.test"}
_BY = {"GIT_COMMITTER_NAME": "slipway", "GIT_COMMITTER_EMAIL": "slipway@forge.test"}


class ForgeWorld(Protocol):
    forge: ForgeRepository  # as slipway's user
    person: ForgeRepository  # as somebody else who may write
    page: int  # statuses of a commit that the forge gives at once
    lacks: Mapping[str, str]  # what this stand-in does otherwise than the forge itself: word -> in a sentence

    def push(self, branch: str, content: str, path: str = "release.env") -> str:
        """A commit that lets `path` say `content`, on the branch's commit or else on main's; its id."""

    def main(self) -> str:
        """main's commit."""

    def parents(self, commit: str) -> list[str]:
        """A commit's parents."""

    def message(self, commit: str) -> str:
        """A commit's message."""

    def protect(self, approvals: int) -> None:
        """Let main be protected: so many people must approve."""


def need(world: ForgeWorld, what: str) -> None:
    """Skip a test where the forge here does not do what it is about."""
    if what in world.lacks:
        pytest.skip(world.lacks[what])


def until_mergeable(world: ForgeWorld, number: int) -> None:
    """Wait until the forge has looked for conflicts and found none: before, it refuses every merge."""
    deadline = time.monotonic() + 30
    while not world.forge.api.numbered(number).request.mergeable:
        assert time.monotonic() < deadline, f"request {number} does not become mergeable"
        time.sleep(0.1)


@dataclass(frozen=True)
class GitProject:
    """A project that git reaches."""

    work: Path
    remote: str

    def git(self, *arguments: str) -> str:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.work.parent), **_WHO, **_BY}
        command = ["git", "-C", str(self.work), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def clone(self) -> None:
        self.work.mkdir()
        self.git("init", "--quiet")
        self.git("remote", "add", "origin", self.remote)

    def tip(self, branch: str) -> str | None:
        found = self.git("ls-remote", "origin", f"refs/heads/{branch}")
        return found.split()[0] if found else None

    def push(self, branch: str, content: str, path: str = "release.env") -> str:
        start = self.tip(branch) or self.tip("main")
        assert start is not None
        self.git("fetch", "--quiet", "origin", start)
        self.git("checkout", "--quiet", "--detach", start)
        (self.work / path).write_text(content)
        self.git("add", path)
        self.git("commit", "--quiet", "-m", f"Say {content}")
        self.git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")

    def main(self) -> str:
        found = self.tip("main")
        assert found is not None
        return found

    def parents(self, commit: str) -> list[str]:
        self.git("fetch", "--quiet", "origin", commit)
        return self.git("log", "-1", "--format=%P", commit).split()

    def message(self, commit: str) -> str:
        self.git("fetch", "--quiet", "origin", commit)
        return self.git("log", "-1", "--format=%B", commit)


class GiteaWorld(GitProject):
    page: ClassVar[int] = 50
    lacks: ClassVar[Mapping[str, str]] = {}

    def __init__(self, gitea: Gitea, name: str, folder: Path, url: str | None = None) -> None:
        """url: where the clients go; the forge itself if left out, else something that stands before it."""
        self.gitea, self.project = gitea, gitea.project(name)
        bot, person = PEOPLE
        host = gitea.url.removeprefix("http://")
        super().__init__(folder / "work", f"http://{bot}:{gitea.password}@{host}/{self.project}.git")
        self.clone()
        self.forge = self.repository(url or gitea.url, bot)
        self.person = self.repository(gitea.url, person)

    def repository(self, url: str, login: str) -> ForgeRepository:
        forge = open_forge("gitea", url, self.project, self.gitea.tokens[login])
        assert isinstance(forge, ForgeRepository)
        return forge

    def protect(self, approvals: int) -> None:
        rule = {"rule_name": "main", "required_approvals": approvals, "enable_push": False}
        self.gitea.call("POST", f"/repos/{self.project}/branch_protections", rule)
