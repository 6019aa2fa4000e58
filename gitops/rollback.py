"""Return an environment to its last good version, and keep the bad one from coming back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from gitops.edit import Done, Edit, Tip, edit
from gitops.environment_repo import Snapshot
from gitops.evidence import evidence_at
from gitops.history import Event, history, reverted
from gitops.layout import hold_path, render
from gitops.release import files_of, paths_of, snapshot_of
from slipway.environments import Hold
from slipway.errors import Rejected
from slipway.names import check_model
from slipway.operation import Operation, render_message
from slipway.version import ModelVersion

__all__ = ["rollback"]


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
    at: Callable[[str], None] = lambda point: None,
) -> Done:
    """One commit: release.env as it was with the last good version (or `number`), and a hold on the one served now.

    The last good version is the newest earlier release that is not on hold and that no person took out. evidence: why;
    without it the old release's own evidence comes back. expected: do nothing unless this version is still served.
    A freeze does not stop a rollback.

    Raises Rejected when nothing is served, or there is nothing to return to; in the second case the bad version is on
    hold all the same, so that it goes no further.
    """
    check_model(model)
    nowhere: list[str] = []

    def change(tip: Tip) -> Edit | Done:
        nowhere.clear()
        snapshot, _ = snapshot_of(url, tip, environment)
        assert tip.commit is not None
        current = snapshot.release(environment, model)
        if expected is not None and current != expected:
            return Done(tip.commit, created=False, reason=f"{environment} does not serve {expected} any more")
        if current is None:
            raise Rejected(f"{environment} serves no version of {model}; there is nothing to roll back")
        past = list(history(url, environment, model, start=tip.commit))
        target = _last_good(
            snapshot, environment, current, past, reverted(url, environment, model, start=tip.commit), number
        )
        held = Hold(
            environment=environment,
            model=model,
            number=current.number,
            digest=current.digest,
            reason=reason[:1000],
            since=now,
        )
        files: dict[str, bytes | None] = {hold_path(environment, model, current.number): render(held)}
        undone = next((e.commit for e in past if e.released and e.after == current), None)
        if target is None:
            nowhere.append(
                f"{current} is the only good version that {environment} ever had of {model}; it is on hold now and "
                f"still served: push a better version, or stop it with `slipway retire {environment} {model}`"
            )
            if snapshot.held(environment, current):
                return Done(tip.commit, created=False, reason=f"{current} is on hold already")
            # Not the rollback's own id: asked again, this must be refused again and not be found as done.
            operation = Operation(
                id=f"{operation_id}/hold",
                action="hold",
                environment=environment,
                version=current,
                run=run,
                source_env_commit=source_env_commit,
                verdict=verdict,
                approved_by=by,
            )
            return Edit(files, render_message(f"Hold {current} in {environment}", operation, reason))
        released = next(e.commit for e in past if e.released and e.after == target)
        place = (released, environment, model)
        proof = evidence if evidence is not None else evidence_at(url, [place]).get(place)
        files = files_of(tip, environment, target, proof) | files
        operation = Operation(
            id=operation_id,
            action="rollback",
            environment=environment,
            version=target,
            run=run,
            source_env_commit=source_env_commit,
            rollback_of=undone,
            verdict=verdict,
            approved_by=by,
        )
        return Edit(files, render_message(f"Roll {environment} back from {current} to {target}", operation, reason))

    done = edit(url, change, operation_id=operation_id, reads=paths_of(environment, model), at=at)
    if nowhere:
        raise Rejected(nowhere[0])
    return done


def _last_good(
    snapshot: Snapshot,
    environment: str,
    current: ModelVersion,
    past: Sequence[Event],
    taken_out: set[int],
    number: int | None,
) -> ModelVersion | None:
    """The newest earlier release that may come back, or the one asked for; None when there is none."""
    for event in past:
        version = event.after
        if version is None or version == current or not event.released:
            continue
        held = snapshot.held(environment, version)
        if number is None and held is None and version.number not in taken_out:
            return version
        if version.number == number:
            if held is not None:
                raise Rejected(
                    f"{version} is on hold in {environment} ({held.reason}); "
                    f"`slipway release-hold {environment} {version}` first"
                )
            return version
    if number is not None:
        raise Rejected(
            f"{current.name}@{number} was never released to {environment}, or is served there now; "
            f"see `slipway history {environment} {current.name}`"
        )
    return None
