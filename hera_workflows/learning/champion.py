"""Which version the first environment serves now, and what it answers to the candidate's test data."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hera_workflows.learning.inference import open_session, predict
from hera_workflows.learning.text import model_inputs
from slipway.errors import Misconfigured, Rejected
from slipway.manifest import Manifest
from triton_repo.runtime.text_pipeline import TEXT_JSON

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from triton_repo.store import ModelStore

__all__ = ["Champion", "find_champion"]


@dataclass(frozen=True, slots=True)
class Champion:
    """What the first environment serves, and its answers; `problem` says why there are none."""

    name: str  # "digits@3"
    environment: str
    output: NDArray[Any] | None
    problem: str | None = None
    same_files: bool = False  # byte for byte the candidate's model


def find_champion(
    env_repo: str,
    store: ModelStore,
    model: str,
    task: str,
    classes: list[str] | None,
    inputs: Mapping[str, NDArray[Any]],
    candidate: Path,
) -> Champion | None:
    """The champion's answers to `inputs`; None when the first environment serves no version of the model.

    A champion that cannot be read or compared is a Champion with a `problem`, because a candidate may be what
    repairs it. Raises TryAgain when the environment repository or the store cannot be reached.
    """
    from gitops.environment_repo import read
    from triton_repo.store import find

    snapshot = read(env_repo)
    environment = snapshot.environments.first.name
    version = snapshot.release(environment, model)
    if version is None:
        return None
    name = str(version)
    try:
        manifest = find(store, model, version.number, version.digest)
        if problem := _not_comparable(manifest, task, classes):
            return Champion(name, environment, None, problem)
        with tempfile.TemporaryDirectory(prefix="slipway-champion-") as folder:
            path = _copy_model(store, manifest, Path(folder))
            same = all(_same(path.parent / name, candidate.parent / name) for name in ("model.onnx", TEXT_JSON))
            output = predict(open_session(path), model_inputs(path.parent, inputs))
    except (Rejected, Misconfigured) as error:
        return Champion(name, environment, None, f"{name} cannot be compared: {error}")
    return Champion(name, environment, output, None, same)


def _not_comparable(manifest: Manifest, task: str, classes: list[str] | None) -> str | None:
    name = f"{manifest.name}@{manifest.number}"
    if manifest.spec.task != task:
        return f"{name} does {manifest.spec.task}, this model {task}: they cannot be compared"
    if manifest.spec.classes != classes:
        return f"{name} has other classes: they cannot be compared"
    return None


def _copy_model(store: ModelStore, manifest: Manifest, folder: Path) -> Path:
    """model.onnx and what it needs beside it (large weights, text.json), checked against the manifest."""
    from triton_repo.fetch import copy_published

    prefix = f"{manifest.number}/"
    for path in manifest.files:
        if path.startswith((f"{prefix}model.onnx", f"{prefix}{TEXT_JSON}")):
            copy_published(store, manifest, path, folder / path.removeprefix(prefix))
    if not (model := folder / "model.onnx").is_file():
        raise Rejected(f"{manifest.name}@{manifest.number} has no model.onnx")
    return model


def _same(left: Path, right: Path) -> bool:
    if not left.exists() or not right.exists():
        return left.exists() == right.exists()
    return left.read_bytes() == right.read_bytes()
