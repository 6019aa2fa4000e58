"""What was released where, when and by whom: read from main's commits and nothing else.

A machine commit is believed by its trailers, so that 20,000 of them need no diff; a person's commit is compared with
its parent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from gitops.git import Git, commit_time
from gitops.layout import RELEASE_FILE
from gitops.remote import MAIN, Remote, opened
from gitops.tree import read_blobs
from slipway.errors import Misconfigured, Rejected
from slipway.operation import Operation, parse_message
from slipway.version import ModelVersion, parse_release_env

__all__ = ["Event", "history", "reverted", "reverted_everywhere"]

_ZEROS = re.compile(r"0+")


@dataclass(frozen=True, slots=True)
class Event:
    """What one commit on main did to one model in one environment, or to a whole environment."""

    commit: str
    when: datetime
    who: str  # the author's name, as it stands in the commit
    subject: str
    operation: Operation | None  # None: a person's commit
    environment: str | None  # None: the commit changed no release
    model: str | None
    before: ModelVersion | None  # what was released before; None: nothing, or nothing readable
    after: ModelVersion | None
    problem: str | None = None  # why the commit could not be understood

    @property
    def released(self) -> bool:
        """Whether what is served changed: holds, freezes and edits of other files do not."""
        return self.before != self.after


@dataclass(frozen=True, slots=True)
class _Commit:
    id: str
    parent: str | None
    when: datetime
    who: str
    message: str
    operation: Operation | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class _Step:
    environment: str | None
    model: str | None
    after: ModelVersion | None
    problem: str | None = None


def history(
    url: str,
    environment: str | None = None,
    model: str | None = None,
    limit: int | None = None,
    *,
    start: str | None = None,
) -> Iterator[Event]:
    """Events on main (or at and before the commit `start`), newest first, of one environment and model when given.

    Raises Misconfigured when the repository has no main, TryAgain when it does not answer.
    """
    count = 0
    for event in reversed(_events(url, start)):
        if environment is not None and event.environment != environment:
            continue
        if model is not None and event.model != model:
            continue
        if limit is not None and count >= limit:
            return
        count += 1
        yield event


def reverted(url: str, environment: str, model: str, *, start: str | None = None) -> set[int]:
    """The versions that a `git revert` or `slipway retire` took out of an environment and nobody brought back since.

    They must not be promoted there again by themselves.
    """
    return _reverted(_events(url, start)).get((environment, model), set())


def reverted_everywhere(url: str, *, start: str | None = None) -> dict[tuple[str, str], set[int]]:
    """`reverted` of every (environment, model) that has any, for the price of one."""
    return _reverted(_events(url, start))


def _reverted(events: Iterable[Event]) -> dict[tuple[str, str], set[int]]:
    found: dict[tuple[str, str], set[int]] = {}
    for event in events:
        if event.environment is None or event.model is None:
            continue
        out = found.setdefault((event.environment, event.model), set())
        if event.after is not None:
            out.discard(event.after.number)
        if event.operation is not None:
            if event.operation.action == "release-hold" and event.operation.version is not None:
                out.discard(event.operation.version.number)
            elif event.operation.action == "retire" and event.before is not None:
                out.add(event.before.number)
        elif event.before is not None and (event.after is None or event.after.number < event.before.number):
            out.add(event.before.number)
    return {key: numbers for key, numbers in found.items() if numbers}


def _events(url: str, start: str | None) -> list[Event]:
    """Every event, oldest first."""
    with opened(url) as remote:
        if start is None or remote.local is None:
            main = remote.branches(MAIN).get(MAIN)
            if main is None:
                raise Misconfigured(f"{url} has no main; run `slipway env init` to set it up")
            start = start or main
        commits = list(_commits(remote.git, start))
        steps = _steps_of_people(remote, [commit for commit in commits if commit.operation is None])
    events: list[Event] = []
    now: dict[tuple[str | None, str | None], ModelVersion | None] = {}
    for commit in commits:
        for step in steps.get(commit.id) or [_step_of(commit, now)]:
            key = (step.environment, step.model)
            before, now[key] = now.get(key), step.after
            events.append(
                Event(
                    commit.id,
                    commit.when,
                    commit.who,
                    commit.message.split("\n", 1)[0],
                    commit.operation,
                    step.environment,
                    step.model,
                    before,
                    step.after,
                    commit.problem or step.problem,
                )
            )
    return events


def _commits(git: Git, start: str) -> Iterator[_Commit]:
    # Oldest first; NUL ends a record, and only the message may have more lines.
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
        parent = parents.split(" ")[0] or None
        yield _Commit(commit, parent, commit_time(seconds), who, message, operation, problem)


def _step_of(commit: _Commit, now: dict[tuple[str | None, str | None], ModelVersion | None]) -> _Step:
    """What the trailers of a machine commit say; nothing for a person's commit that touched no release."""
    operation = commit.operation
    if operation is None or operation.action == "seed":
        return _Step(None, None, None)
    model = operation.version.name if operation.version is not None else None
    if operation.action in ("bump", "promote", "rollback"):
        return _Step(operation.environment, model, operation.version)
    if operation.action == "retire":
        return _Step(operation.environment, model, None)
    # Holds and freezes change no release.
    return _Step(operation.environment, model, now.get((operation.environment, model)))


def _steps_of_people(remote: Remote, commits: list[_Commit]) -> dict[str, list[_Step]]:
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
    steps: dict[str, list[_Step]] = {}
    for commit_id, environment, model, oid in changes:
        after, problem = None, None
        if oid in blobs:
            try:
                after = parse_release_env(
                    blobs[oid].decode(errors="replace"), f"envs/{environment}/{model}/release.env"
                )
            except Rejected as error:
                problem = str(error)
        steps.setdefault(commit_id, []).append(_Step(environment, model, after, problem))
    return steps
