"""Keep a version, or every version, out of an environment, and let it in again."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from gitops.edit import Done, Edit, Tip, edit
from gitops.history import history, reverted
from gitops.layout import freeze_path, hold_path, render
from gitops.release import paths_of, snapshot_of
from slipway.environments import Freeze, Hold
from slipway.errors import Rejected
from slipway.names import check_model, check_number
from slipway.operation import Operation, render_message
from slipway.version import ModelVersion

__all__ = ["freeze", "hold", "release_hold", "unfreeze"]


def hold(
    url: str,
    wanted: Hold,
    *,
    by: str | None = None,
    operation_id: str | None = None,
    at: Callable[[str], None] = lambda point: None,
) -> Done:
    """Keep one version out of an environment; what is served there stays. Nothing is done when it is on hold."""
    environment, model, version = wanted.environment, wanted.model, wanted.version
    operation = Operation(operation_id or _new("hold"), "hold", environment, version, approved_by=by)

    def change(tip: Tip) -> Edit | Done:
        snapshot = snapshot_of(url, tip, environment)
        if snapshot.held(environment, version):
            return Done(snapshot.commit, created=False, reason=f"{version} is on hold in {environment} already")
        message = render_message(f"Hold {version} in {environment}", operation, wanted.reason)
        return Edit({hold_path(environment, model, wanted.number): render(wanted)}, message)

    return edit(url, change, operation_id=operation.id, reads=paths_of(environment, model), at=at)


def release_hold(
    url: str,
    environment: str,
    model: str,
    number: int,
    *,
    by: str | None = None,
    operation_id: str | None = None,
) -> Done:
    """Let a version come back: remove its hold, or forgive the `git revert` that took it out.

    Raises Rejected when nothing keeps it out; the message lists what is on hold.
    """
    check_model(model)
    check_number(number)
    wanted = operation_id or _new("release-hold")

    def change(tip: Tip) -> Edit | Done:
        snapshot = snapshot_of(url, tip, environment)
        holds = [h for h in snapshot.holds if (h.environment, h.model) == (environment, model)]
        mine = next((h for h in holds if h.number == number), None)
        taken_out = reverted(url, environment, model, start=snapshot.commit) if mine is None else set()
        if mine is None and number not in taken_out:
            kept = sorted({h.number for h in holds} | taken_out)
            names = ", ".join(f"{model}@{n}" for n in kept) or f"no version of {model}"
            raise Rejected(f"{model}@{number} is not on hold in {environment}; on hold there: {names}")
        version = mine.version if mine else _reverted_version(url, environment, model, number, snapshot.commit)
        operation = Operation(wanted, "release-hold", environment, version, approved_by=by)
        message = render_message(f"Release the hold on {version} in {environment}", operation)
        return Edit({hold_path(environment, model, number): None} if mine else {}, message)

    return edit(url, change, operation_id=wanted, reads=paths_of(environment, model))


def freeze(
    url: str, environment: str, wanted: Freeze, *, by: str | None = None, operation_id: str | None = None
) -> Done:
    """Let nothing but rollbacks into an environment; replaces an earlier freeze."""
    operation = Operation(operation_id or _new("freeze"), "freeze", environment, approved_by=by)

    def change(tip: Tip) -> Edit | Done:
        snapshot = snapshot_of(url, tip, environment)
        path, content = freeze_path(environment), render(wanted)
        if tip.files.get(path) == content:
            return Done(snapshot.commit, created=False, reason=f"{environment} is frozen in just this way already")
        return Edit({path: content}, render_message(f"Freeze {environment}", operation, wanted.reason))

    return edit(url, change, operation_id=operation.id, reads=paths_of(environment))


def unfreeze(url: str, environment: str, *, by: str | None = None, operation_id: str | None = None) -> Done:
    """Lift the freeze that `freeze` set; the windows in environments.yaml are people's and stay."""
    operation = Operation(operation_id or _new("unfreeze"), "unfreeze", environment, approved_by=by)

    def change(tip: Tip) -> Edit | Done:
        snapshot = snapshot_of(url, tip, environment)
        path = freeze_path(environment)
        if path not in tip.files:
            return Done(snapshot.commit, created=False, reason=f"nobody froze {environment}")
        return Edit({path: None}, render_message(f"Unfreeze {environment}", operation))

    return edit(url, change, operation_id=operation.id, reads=paths_of(environment))


def _new(action: str) -> str:
    return f"{action}/{uuid4().hex}"


def _reverted_version(url: str, environment: str, model: str, number: int, start: str) -> ModelVersion:
    for event in history(url, environment, model, start=start):
        if event.before is not None and event.before.number == number:
            return event.before
    raise Rejected(f"{model}@{number} was never released to {environment}; see `slipway history {environment} {model}`")
