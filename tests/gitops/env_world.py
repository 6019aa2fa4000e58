"""What tests do to an environment repository: as slipway, and as a person with a clone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gitops.approvals import Request, open_request
from gitops.bump import bump
from gitops.edit import Done
from gitops.environment_repo import Snapshot, read
from slipway.operation import Operation
from slipway.version import ModelVersion

# Commits of people have fixed dates, so that golden files can hold them.
PERSON = {
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.com",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.com",
}


def version(number: int, model: str = "digits") -> ModelVersion:
    return ModelVersion(model, number, f"sha256:{number:064x}")


@dataclass(frozen=True)
class World:
    repo: Path
    url: str
    tmp: Path

    def git(self, *arguments: str) -> str:
        return subprocess.check_output(["git", "-C", str(self.repo), *arguments], text=True).strip()

    def read(self) -> Snapshot:
        return read(self.url)

    def main(self) -> str:
        return self.git("rev-parse", "main")

    def commits(self) -> int:
        return int(self.git("rev-list", "--count", "--first-parent", "main"))

    def subjects(self) -> list[str]:
        return self.git("log", "--first-parent", "--format=%s", "main").splitlines()

    def show(self, path: str, commit: str = "main") -> str:
        return subprocess.check_output(["git", "-C", str(self.repo), "show", f"{commit}:{path}"], text=True)

    def paths(self) -> list[str]:
        return self.git("ls-tree", "-r", "--name-only", "main").splitlines()

    def branches(self) -> list[str]:
        return self.git("for-each-ref", "--format=%(refname:short)", "refs/heads/promote").splitlines()

    def bump(self, number: int, model: str = "digits", **options: object) -> Done:
        new = version(number, model)
        operation = Operation(f"bump/{new}", "bump", "staging", new)
        return bump(self.url, new, operation, evidence=f'{{"version": {number}}}\n'.encode(), **options)  # type: ignore[arg-type]

    def propose(self, number: int, model: str = "digits", **options: object) -> Request:
        new = version(number, model)
        base = self.main()
        operation = Operation(
            f"promote/{base}/{new}", "promote", "production", new, source_env_commit=base, verdict="PASS"
        )
        return open_request(self.url, new, operation, evidence=b'{"verdict": "PASS"}\n', base=base, **options)  # type: ignore[arg-type]

    def clone(self) -> Path:
        work = self.tmp / "person"
        shutil.rmtree(work, ignore_errors=True)
        subprocess.run(["git", "clone", "--quiet", self.repo, work], check=True)
        return work

    def person(self, *arguments: str, work: Path | None = None) -> Path:
        """A git command by a person, in a fresh clone unless one is given."""
        work = work or self.clone()
        subprocess.run(
            ["git", "-C", work, *arguments], check=True, env={**os.environ, **PERSON}, stdout=subprocess.DEVNULL
        )
        return work

    def edit_by_hand(self, files: Mapping[str, str | None], message: str = "Edit by hand") -> str:
        """A person's commit on main."""
        work = self.clone()
        for path, content in files.items():
            if content is None:
                (work / path).unlink()
            else:
                (work / path).parent.mkdir(parents=True, exist_ok=True)
                (work / path).write_text(content)
        self.person("add", "--all", work=work)
        self.person("commit", "--quiet", "--message", message, work=work)
        self.person("push", "--quiet", "origin", "HEAD:main", work=work)
        return self.main()

    def hook(self, name: str, script: str) -> Path:
        """A hook of the server."""
        path = self.repo / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path
