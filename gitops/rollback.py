"""Return an environment to its last good version, and keep the bad one from coming back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from gitops.edit import Done, Edit, Tip, edit
from gitops.environment_repo import Snapshot
from gitops.evidence import evidence_at
from gitops.history import Event, past
from gitops.layout import hold_path, render
from gitops.release import files_of, paths_of, snapshot_of
from slipway.environments import Hold
from slipway.errors import Rejected
from slipway.names import check_model
from slipway.operation import Operation, render_message
from slipway.version import ModelVersion

__all__ = ["last_good", "rollback"]


def rollback(
    url: str,
    environment: str,
    model: str,
    *,
    now: datetime,
    reason: str,
    operation_id: str,
    evidence: bytes | None = None,
    number: int | None = None,
    by: str | None = None,
    run: str | None = None,
    source_env_commit: str | None = None,
    verdict: str | None = None,
    expected: ModelVersion | None = None,
    stored: Callable[[ModelVersion], bool] = lambda version: True,
    at: Callable[[str], None] = lambda point: None,
) -> Done:
    """One commit: release.env as it was with the last good version (or `number`), and a hold on the one served now.

    The last good version is the newest earlier release that is not on hold and that no person took out. evidence: why;
    without it the old release's own evidence comes back. expected: do nothing unless this version is still served.
    stored: whether the store still has a version; gc removes those that nothing needed for long. A freeze does not stop
    a rollback.

    Raises Rejected when nothing is served, or there is nothing to return to; in the second case the bad version is on
    hold all the same, so that it goes no further.
    """
    check_model(model)
    nowhere: list[str] = []

    def change(tip: Tip) -> Edit | Done:
        nowhere.clear()
        snapshot = snapshot_of(url, tip, environment)
        current = snapshot.release(environment, model)
        if expected is not None and current != expected:
            return Done(snapshot.commit, created=False, reason=f"{environment} does not serve {expected} any more")
        if current is None:
            raise Rejected(f"{environment} serves no version of {model}; there is nothing to roll back")
        known, place = past(url, start=snapshot.commit), (environment, model)
        events = [event for event in reversed(known.events) if (event.environment, event.model) == place]
        target = (
            last_good(snapshot, environment, current, events, known.taken_out.get(place, ()), stored)
            if number is None
            else _asked_for(snapshot, environment, current, events, number, stored)
        )
        held = Hold.of(current, environment, reason, now)
        files: dict[str, bytes | None] = {hold_path(environment, model, current.number): render(held)}
        operation = Operation(
            id=operation_id,
            action="rollback",
            environment=environment,
            version=target,
            run=run,
            source_env_commit=source_env_commit,
            rollback_of=next((e.commit for e in events if e.released and e.after == current), None),
            verdict=verdict,
            approved_by=by,
        )
        if target is None:
            nowhere.append(
                f"{current} is the only good version that {environment} ever had of {model}; it is on hold now and "
                f"still served: push a better version, or stop it with `slipway retire {environment} {model}`"
            )
            if snapshot.held(environment, current):
                return Done(snapshot.commit, created=False, reason=f"{current} is on hold already")
            # Not the rollback's own id: asked again, this must be refused again and not be found as done.
            operation = replace(operation, id=f"{operation_id}/hold", action="hold", version=current, rollback_of=None)
            return Edit(files, render_message(f"Hold {current} in {environment}", operation, reason))
        released = next(e.commit for e in events if e.released and e.after == target)
        there = (released, environment, model)
        proof = evidence if evidence is not None else evidence_at(url, [there]).get(there)
        files = files_of(tip.files, environment, target, proof) | files
        return Edit(files, render_message(f"Roll {environment} back from {current} to {target}", operation, reason))

    done = edit(url, change, operation_id=operation_id, reads=paths_of(environment, model), at=at)
    if nowhere:
        raise Rejected(nowhere[0])
    return done


def last_good(
    snapshot: Snapshot,
    environment: str,
    current: ModelVersion | None,
    events: Iterable[Event],  # of one model there, newest first
    taken_out: Collection[int],
    stored: Callable[[ModelVersion], bool] = lambda version: True,
) -> ModelVersion | None:
    """What a rollback returns to: the newest earlier release that is not on hold and that no person took out."""
    for version in _earlier(current, events):
        if version.number not in taken_out and snapshot.held(environment, version) is None and stored(version):
            return version
    return None


def _asked_for(
    snapshot: Snapshot,
    environment: str,
    current: ModelVersion,
    events: Iterable[Event],
    number: int,
    stored: Callable[[ModelVersion], bool],
) -> ModelVersion:
    version = next((each for each in _earlier(current, events) if each.number == number), None)
    if version is None:
        raise Rejected(
            f"{current.name}@{number} was never released to {environment}, or is served there now; "
            f"see `slipway history {environment} {current.name}`"
        )
    if (held := snapshot.held(environment, version)) is not None:
        raise Rejected(
            f"{version} is on hold in {environment} ({held.reason}); "
            f"`slipway release-hold {environment} {version}` first"
        )
    if not stored(version):
        raise Rejected(f"the store has no {version} any more; return to a later version, or push its source again")
    return version


def _earlier(current: ModelVersion | None, events: Iterable[Event]) -> Iterator[ModelVersion]:
    for event in events:
        if event.released and event.after is not None and event.after != current:
            yield event.after
