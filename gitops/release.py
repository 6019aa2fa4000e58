"""The files that put one version of a model into one environment, and what must hold before anybody writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from gitops.edit import Tip
from gitops.environment_repo import Snapshot, parse_files
from gitops.layout import (
    ENVIRONMENTS,
    evidence_path,
    folder,
    freeze_path,
    kustomization,
    kustomization_path,
    release_path,
    retired_path,
)
from slipway.errors import Misconfigured, Rejected
from slipway.version import ModelVersion, render_release_env

__all__ = ["check_enter", "files_of", "paths_of", "refuse_broken", "snapshot_of"]


def paths_of(environment: str, model: str | None = None) -> Sequence[str]:
    """What a decision about one model in one environment reads."""
    models = [folder(environment, model)] if model is not None else []
    return (ENVIRONMENTS, freeze_path(environment), *models)


def snapshot_of(url: str, tip: Tip, environment: str) -> Snapshot:
    """The part of the repository that was read; raises Misconfigured without main or without that environment.

    Raises Rejected when a file of slipway in it was edited into nonsense: nothing is built on what is not understood.
    """
    if tip.commit is None:
        raise Misconfigured(f"{url} has no main; run `slipway env init` to set it up")
    snapshot = parse_files(tip.commit, tip.files)
    snapshot.environment(environment, url)
    refuse_broken(snapshot)
    return snapshot


def refuse_broken(snapshot: Snapshot, *paths: str) -> None:
    """Raise Rejected for the first broken file, of those at or below `paths` when any are given: it may be a hold."""
    for path, reason in snapshot.broken.items():
        if not paths or any(path == each or path.startswith(f"{each}/") for each in paths):
            raise Rejected(reason if path in reason else f"{path}: {reason}")


def check_enter(snapshot: Snapshot, environment: str, version: ModelVersion, now: datetime | None = None) -> None:
    """Raise Rejected when a version may not enter: it is on hold, its number is taken, or (with `now`) a freeze."""
    if hold := snapshot.held(environment, version):
        raise Rejected(
            f"{version} is on hold in {environment} ({hold.reason}); "
            f"`slipway release-hold {environment} {version}` lets it come back"
        )
    current = snapshot.release(environment, version.name)
    if current is not None and current.number == version.number and current.digest != version.digest:
        raise Rejected(f"{environment} has {version} with digest {current.digest}, not {version.digest}; publish again")
    if now is not None and (freeze := snapshot.frozen(environment, now)):
        until = f"until {freeze.until.isoformat()}" if freeze.until else f"until `slipway unfreeze {environment}`"
        raise Rejected(f"{environment} is frozen {until} ({freeze.reason}); try again after that")


def files_of(
    before: Mapping[str, bytes], environment: str, version: ModelVersion, evidence: bytes | None
) -> dict[str, bytes | None]:
    """The files of a release into a folder that has the files `before`.

    Without evidence an older one is removed, and kustomization.yaml is written only once.

    What people had written before the model was retired comes back.
    """
    files: dict[str, bytes | None] = {release_path(environment, version.name): render_release_env(version).encode()}
    path = evidence_path(environment, version.name)
    if evidence is not None or path in before:
        files[path] = evidence
    path = kustomization_path(environment, version.name)
    if path not in before:
        files[path] = kustomization(environment, version.name)
        away = retired_path(environment, version.name, "")
        for old, content in before.items():
            if old.startswith(away):
                files[old] = None
                files[f"{folder(environment, version.name)}/{old.removeprefix(away)}"] = content
    return files
