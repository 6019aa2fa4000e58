"""What does each commit on main say, and what did those of people do to releases?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from gitops.git import Git, commit_time
from gitops.layout import RELEASE_FILE
from gitops.remote import Remote
from gitops.tree import read_blobs
from slipway.errors import Rejected
from slipway.operation import Operation, parse_message
from slipway.version import ModelVersion, parse_release_env

__all__ = ["Commit", "ReleaseChange", "changes_of_people", "commits_of", "proposals"]

_ZEROS = re.compile(r"0+")


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit on main, and the operation that its trailers record."""

    id: str
    parent: str | None
    merged: str | None  # the second of exactly two parents
    when: datetime
    who: str
    message: str
    operation: Operation | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class ReleaseChange:
    """What a commit did to one release; none where the environment is None."""

    environment: str | None
    model: str | None
    after: ModelVersion | None
    problem: str | None = None


def commits_of(git: Git, start: str) -> Iterator[Commit]:
    """Every commit on main at and before `start`, oldest first."""
    # NUL ends a record, and only the message may have more lines.
    out = git.run("log", "-z", "--first-parent", "--reverse", "--format=%H%n%P%n%ct%n%an%n%B", start, "--")
    for record in out.decode(errors="replace").split("\0"):
        if not record:
            continue
        commit, parents, seconds, who, message = record.split("\n", 4)
        operation, problem = None, None
        try:
            operation = parse_message(message)
        except Rejected as error:
            problem = str(error)
        parent, *others = parents.split(" ")
        merged = others[0] if len(others) == 1 else None
        yield Commit(commit, parent or None, merged, commit_time(seconds), who, message, operation, problem)


def changes_of_people(remote: Remote, commits: list[Commit]) -> dict[str, list[ReleaseChange]]:
    """What commits without trailers did to releases, by commit; those that did nothing are left out."""
    if not commits:
        return {}
    # First parents only: a merge by hand did what it changed on main.
    lines = "".join(f"{commit.id} {commit.parent}\n" if commit.parent else f"{commit.id}\n" for commit in commits)
    raw = remote.git.run(
        *("diff-tree", "--stdin", "--root", "-r", "-z", "--no-renames", "--", "envs"), stdin=lines.encode()
    )
    changes: list[tuple[str, str, str, str]] = []  # commit, environment, model, blob after
    fields = iter(raw.decode(errors="surrogateescape").split("\0")[:-1])
    commit = ""
    for head in fields:
        if not head.startswith(":"):
            commit = head
        elif match := RELEASE_FILE.fullmatch(next(fields)):
            changes.append((commit, match["environment"], match["model"], head.split(" ")[3]))
    oids = [oid for *_, oid in changes if not _ZEROS.fullmatch(oid)]
    remote.fetch_objects(oids)
    blobs = read_blobs(remote.git, oids)
    found: dict[str, list[ReleaseChange]] = {}
    for commit_id, environment, model, oid in changes:
        after, problem = None, None
        if oid in blobs:
            try:
                after = parse_release_env(
                    blobs[oid].decode(errors="replace"), f"envs/{environment}/{model}/release.env"
                )
            except Rejected as error:
                problem = str(error)
        found.setdefault(commit_id, []).append(ReleaseChange(environment, model, after, problem))
    return found


def proposals(git: Git, commits: Iterable[Commit]) -> dict[str, Operation]:
    """The operation that each merge among `commits` merged, where its second parent records one."""
    merges = {commit.merged: commit.id for commit in commits if commit.merged is not None}
    if not merges:
        return {}
    ids = "".join(f"{parent}\n" for parent in merges).encode()
    out = git.run("log", "-z", "--no-walk", "--stdin", "--format=%H%n%B", stdin=ids)
    found: dict[str, Operation] = {}
    for record in filter(None, out.decode(errors="replace").split("\0")):
        commit, message = record.split("\n", 1)
        try:
            operation = parse_message(message)
        except Rejected:
            continue
        if operation is not None and operation.action == "promote":
            found[merges[commit]] = operation
    return found
