"""Stop serving a model in an environment."""

from __future__ import annotations

from collections.abc import Callable

from gitops.edit import Done, Edit, Tip, edit
from gitops.layout import OURS, evidence_path, folder, kustomization, kustomization_path, release_path, retired_path
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

    Holds stay: a version that was bad stays so. What people wrote in the folder moves to `retired/` in it, from where
    the next release brings it back: a kustomization.yaml without a release builds nothing, and Argo CD would go on
    serving what it last could build.
    """
    check_model(model)

    def change(tip: Tip) -> Edit | Done:
        snapshot = snapshot_of(url, tip, environment)
        version = snapshot.release(environment, model)
        if version is None:
            return Done(snapshot.commit, created=False, reason=f"{environment} serves no version of {model}")
        files: dict[str, bytes | None] = {release_path(environment, model): None}
        if evidence_path(environment, model) in tip.files:
            files[evidence_path(environment, model)] = None
        path = kustomization_path(environment, model)
        here, away = f"{folder(environment, model)}/", retired_path(environment, model, "")
        for old, content in tip.files.items():
            if old.startswith(here) and not old.startswith(away) and old not in files and not OURS.fullmatch(old):
                files[old] = None
                if (old, content) != (path, kustomization(environment, model)):
                    files[retired_path(environment, model, old)] = content
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
