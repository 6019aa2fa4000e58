"""The store's disk is full in the middle of a publish: a real, small file system."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from triton_toys import Keys, make_candidate, make_draft

from slipway.errors import TryAgain
from triton_repo.bundle import publish
from triton_repo.fetch import check
from triton_repo.store import open_store


def test_a_version_that_does_not_fit_leaves_nothing_and_fits_once_there_is_room(
    disk: Path, tmp_path: Path, keys: Keys
) -> None:
    store = open_store(str(disk))
    candidate = make_candidate(tmp_path / "candidate")
    (candidate / "weights.safetensors").write_bytes(os.urandom(3 << 20))
    with pytest.raises(TryAgain, match="No space left on device; make room, for instance with `slipway gc`"):
        publish(store, make_draft(candidate), candidate, keys.private)
    assert [path for path in disk.rglob("*") if path.is_file() and ".numbers" not in path.parts] == []
    subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
    version = publish(store, make_draft(candidate), candidate, keys.private)
    assert check(store, version, verify_key=keys.public).name == "toy"
