"""What was released where, when and by whom: read from main's commits and nothing else.

A machine commit is believed by its trailers, so that 20,000 of them need no diff; a person's commit is compared with
its parent. A merge that a forge made is the promotion that its second parent proposed, approved by who merged it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gitops.commits import Commit, ReleaseChange, changes_of_people, commits_of, proposals
from gitops.remote import MAIN, opened
from slipway.errors import Misconfigured
from slipway.operation import Operation
from slipway.text import one_line
from slipway.version import ModelVersion

__all__ = ["Event", "Past", "history", "past", "reverted"]


@dataclass(frozen=True, slots=True)
class Event:
    """What one commit on main did to one model in one environment, or to a whole environment."""

    commit: str
    when: datetime
    who: str  # the author's name, as it stands in the commit
    subject: str
    operation: Operation | None  # None: a person's commit, unless it merged a proposal as it was
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
class Past:
    """What main's commits, read once, say of every (environment, model)."""

    events: Sequence[Event]  # oldest first
    places: Mapping[str, int]  # commit -> its place on main, counted from the first
    released: Mapping[tuple[str, str], Event]  # what brought the release that is there now
    taken_out: Mapping[tuple[str, str], set[int]]  # see `reverted`

    def contains(self, revision: str, commit: str) -> bool:
        """Whether `revision` of main has `commit` of main in it; False when main has none of the first."""
        place = self.places.get(revision)
        return place is not None and place >= self.places[commit]


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
    for event in reversed(_events(url, start)[1]):
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
    return _reverted(_events(url, start)[1]).get((environment, model), set())


def past(url: str, *, start: str | None = None) -> Past:
    """Everything on main, or at and before the commit `start`; raises as `history` does."""
    commits, events = _events(url, start)
    released = {(e.environment, e.model): e for e in events if e.released and e.environment and e.model}
    return Past(events, {commit.id: place for place, commit in enumerate(commits)}, released, _reverted(events))


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


def _events(url: str, start: str | None) -> tuple[list[Commit], list[Event]]:
    """Every commit on main and every event, oldest first."""
    with opened(url) as remote:
        if start is None or remote.local is None:
            main = remote.branches(MAIN).get(MAIN)
            if main is None:
                raise Misconfigured(f"{url} has no main; run `slipway env init` to set it up")
            start = start or main
        commits = list(commits_of(remote.git, start))
        people = [commit for commit in commits if commit.operation is None]
        changes = changes_of_people(remote, people)
        proposed = proposals(remote.git, people)
    events: list[Event] = []
    now: dict[tuple[str | None, str | None], ModelVersion | None] = {}
    for commit in commits:
        for change in changes.get(commit.id) or [_change_of(commit, now)]:
            key = (change.environment, change.model)
            before, now[key] = now.get(key), change.after
            operation = commit.operation
            if operation is None and len(changes.get(commit.id, ())) == 1:
                operation = _approved(commit, change, proposed.get(commit.id))
            events.append(
                Event(
                    commit.id,
                    commit.when,
                    commit.who,
                    commit.message.split("\n", 1)[0],
                    operation,
                    change.environment,
                    change.model,
                    before,
                    change.after,
                    commit.problem or change.problem,
                )
            )
    return commits, events


def _approved(commit: Commit, change: ReleaseChange, proposed: Operation | None) -> Operation | None:
    """The promotion that a merge made by a forge is; None when it released anything else than what was proposed."""
    if proposed is None or change.after is None or change.environment != proposed.environment:
        return None
    return (
        replace(proposed, approved_by=one_line(commit.who) or "somebody") if change.after == proposed.version else None
    )


def _change_of(commit: Commit, now: dict[tuple[str | None, str | None], ModelVersion | None]) -> ReleaseChange:
    """What the trailers of a machine commit say; nothing for a person's commit that touched no release."""
    operation = commit.operation
    if operation is None or operation.action == "seed":
        return ReleaseChange(None, None, None)
    model = operation.version.name if operation.version is not None else None
    if operation.action in ("bump", "promote", "rollback"):
        return ReleaseChange(operation.environment, model, operation.version)
    if operation.action == "retire":
        return ReleaseChange(operation.environment, model, None)
    # Holds and freezes change no release.
    return ReleaseChange(operation.environment, model, now.get((operation.environment, model)))
