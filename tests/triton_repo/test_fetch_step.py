"""The init container of a server brings exactly the released version, or nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from triton_toys import Keys, make_draft

from slipway.version import ModelVersion
from triton_repo.bundle import publish
from triton_repo.store import ModelStore


def step(store: ModelStore, version: ModelVersion, repository: Path, key: Path) -> subprocess.CompletedProcess[str]:
    arguments = {
        "--model": version.name,
        "--number": str(version.number),
        "--digest": version.digest,
        "--store": store.url,
        "--verify-key": str(key),
        "--destination": str(repository),
    }
    words = [word for pair in arguments.items() for word in pair]
    command = [sys.executable, "-m", "hera_workflows.steps.fetch", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def version(store: ModelStore, candidate: Path, keys: Keys) -> ModelVersion:
    return publish(store, make_draft(candidate), candidate, keys.private)


def test_the_step_leaves_what_triton_loads_and_nothing_half_written(
    store: ModelStore, keys: Keys, repository: Path, version: ModelVersion
) -> None:
    done = step(store, version, repository, keys.public)
    assert done.returncode == 0, done.stderr
    folder = repository / version.name
    assert (folder / "config.pbtxt").is_file()
    assert (folder / str(version.number) / "model.onnx").is_file()
    assert [path.name for path in repository.iterdir()] == [version.name]


def test_a_restarted_pod_fetches_the_same_version_again(
    store: ModelStore, keys: Keys, repository: Path, version: ModelVersion
) -> None:
    assert [step(store, version, repository, keys.public).returncode for _ in range(2)] == [0, 0]


def test_another_digest_than_the_released_one_never_arrives(
    store: ModelStore, keys: Keys, repository: Path, version: ModelVersion
) -> None:
    done = step(store, ModelVersion(version.name, version.number, "sha256:" + "0" * 64), repository, keys.public)
    assert done.returncode == 65
    assert list(repository.iterdir()) == []
