"""Stop serving a model in an environment."""

from __future__ import annotations

from collections.abc import Callable

from gitops.edit import Done, Edit, Tip, edit
from gitops.layout import evidence_path, kustomization, kustomization_path, release_path
from gitops.release import paths_of, snapshot_of
from gitops.requests import prefix, ref_of, waiting
from slipway.names import check_model
from slipway.operation import Operation, render_message

__all__ = ["retire"]


def retire(
    url: str,
    environment: str,
    model: str,
    *,
    operation_id: str,
    source_commit: str | None = None,
    run: str | None = None,
    by: str | None = None,
    at: Callable[[str], None] = lambda point: None,
) -> Done:
    """Remove the release and close what waits for it; nothing is done when nothing is released.

    Holds stay: a version that was bad stays so. kustomization.yaml goes if nobody ever edited it, else it stays.
    """
    check_model(model)

    def change(tip: Tip) -> Edit | Done:
        snapshot, _ = snapshot_of(url, tip, environment)
        assert tip.commit is not None
        version = snapshot.release(environment, model)
        if version is None:
            return Done(tip.commit, created=False, reason=f"{environment} serves no version of {model}")
        files: dict[str, bytes | None] = {release_path(environment, model): None}
        if evidence_path(environment, model) in tip.files:
            files[evidence_path(environment, model)] = None
        path = kustomization_path(environment, model)
        if tip.files.get(path) == kustomization(environment, model):
            files[path] = None
        operation = Operation(
            operation_id, "retire", environment, version, source_commit=source_commit, run=run, approved_by=by
        )
        message = render_message(f"Retire {model} from {environment}", operation)
        closes = {
            ref_of(environment, model, number): (head, None)
            for number, head in waiting(tip.branches, environment, model).items()
        }
        return Edit(files, message, moves=closes)

    return edit(
        url,
        change,
        operation_id=operation_id,
        reads=paths_of(environment, model),
        branches=prefix(environment),
        at=at,
    )
