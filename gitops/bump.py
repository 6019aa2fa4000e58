"""Put a published version into an environment that takes versions directly."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from gitops.edit import Done, Edit, Tip, edit
from gitops.release import check_enter, files_of, paths_of, snapshot_of
from slipway.errors import Rejected
from slipway.operation import Operation, render_message
from slipway.version import ModelVersion

__all__ = ["bump"]


def bump(
    url: str,
    version: ModelVersion,
    operation: Operation,
    *,
    evidence: bytes | None = None,
    compared: int | None = None,
    now: datetime | None = None,
    at: Callable[[str], None] = lambda point: None,
) -> Done:
    """Commit `version` as operation.environment's release; nothing is done when it or a newer one is there already.

    compared: the number that the environment served when the version was validated, 0 for none; None: nobody knows.
    Raises Rejected when the environment does not accept direct releases, is frozen, holds the version, serves a newer
    one than it was compared with, or none any more: a later push, whose run did not wait for this one to be retried,
    may have released or retired it.
    """
    if operation.version != version:
        raise Rejected(
            f"operation {operation.id} is about {operation.version}, not {version}; build it from one version"
        )
    environment = operation.environment

    def change(tip: Tip) -> Edit | Done:
        snapshot = snapshot_of(url, tip, environment)
        target = snapshot.environment(environment, url)
        if target.accepts != "direct":
            raise Rejected(f"{environment} takes versions by pull request only; promote {version} from {target.after}")
        current = snapshot.release(environment, version.name)
        if current == version:
            return Done(snapshot.commit, created=False, reason=f"{environment} has {version} already")
        check_enter(snapshot, environment, version)
        # Two pushes at once: the one that was published later wins, whichever finishes first.
        if current is not None and current.number > version.number:
            return Done(snapshot.commit, created=False, reason=f"{version} is older than {environment}'s {current}")
        if current is None and compared:
            raise Rejected(
                f"{version} was to follow {version.name}@{compared}, and {environment} serves none: it was retired "
                "meanwhile, or another environment is the first now; push again what should be served"
            )
        if current is not None and compared is not None and current.number > compared:
            raise Rejected(
                f"{environment} serves {current} now, which {version} was not compared with when it was validated; "
                "push again what should take its place"
            )
        check_enter(snapshot, environment, version, now or datetime.now(UTC))
        message = render_message(f"Release {version} to {environment}", operation)
        return Edit(files_of(tip.files, environment, version, evidence), message)

    return edit(url, change, operation_id=operation.id, reads=paths_of(environment, version.name), at=at)
