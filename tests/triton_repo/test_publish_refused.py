"""A store that is full, read-only or not there: nothing half-written, and what to do."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from triton_toys import Keys, make_draft

from slipway.errors import Misconfigured
from slipway.version import ModelVersion
from triton_repo.bundle import publish
from triton_repo.store import ModelStore, open_store


def everything(folder: Path) -> list[str]:
    """Every file in a store but the claimed numbers."""
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and ".numbers" not in path.parts
    )


def publish_it(store: ModelStore, candidate: Path, keys: Keys, operation: str = "op-1") -> ModelVersion:
    return publish(store, make_draft(candidate, operation_id=operation), candidate, keys.private)


def test_a_read_only_store_is_a_setting_to_change(candidate: Path, keys: Keys) -> None:
    # A folder in which nobody may create anything, root included.
    with pytest.raises(Misconfigured, match="give this user the right to write there"):
        publish_it(open_store("/sys/kernel"), candidate, keys)


def test_a_file_that_may_not_grow_leaves_nothing_half_written(store: ModelStore, candidate: Path, keys: Keys) -> None:
    (candidate / "weights.safetensors").write_bytes(bytes(1 << 20))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512 << 10, before[1]))
    try:
        with pytest.raises(Misconfigured, match="File too large"):
            publish_it(store, candidate, keys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert everything(Path(store.root)) == []


def test_a_store_that_is_not_there_is_a_setting_to_change(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"MODEL_STORE .* is not a folder; create it"):
        open_store(str(tmp_path / "nowhere"))


def test_a_store_of_an_unknown_kind_is_a_setting_to_change() -> None:
    with pytest.raises(Misconfigured, match="cannot be used"):
        open_store("gopher://models")
