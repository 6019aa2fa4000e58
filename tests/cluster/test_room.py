"""A disk that is too small for a cluster is said before anything is made; real, small file systems, and no cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slipway.errors import Misconfigured
from tests.cluster.room import need_room


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str, int], Path]]:
    """disk(name, gibibytes) is a file system of its own."""
    mounted: list[Path] = []

    def mount(name: str, gibibytes: int) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={gibibytes}g", "slipway", folder], check=False)
        if done.returncode:
            pytest.skip("may not mount a file system: run as root")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_too_small_is_named_with_what_is_needed(
    disk: Callable[[str, int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_CLUSTER_CACHE", str(disk("cache", 30)))
    state = disk("state", 2)
    with pytest.raises(
        Misconfigured, match=rf"the disk of {state} has 2 GB left, .* takes up to 12 GB there: make room"
    ):
        need_room(state / "not-there-yet", 15, ["train"])


def test_folders_on_one_disk_need_room_for_all(
    disk: Callable[[str, int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = disk("both", 18)
    monkeypatch.setenv("SLIPWAY_CLUSTER_CACHE", str(both / "cache"))
    need_room(both / "state", 0, [])
    with pytest.raises(Misconfigured, match="takes up to 20 GB there"):
        need_room(both / "state", 0, ["train"])


def test_what_is_built_already_needs_no_room(disk: Callable[[str, int], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_CLUSTER_CACHE", str(disk("cache", 1)))
    need_room(disk("state", 15), 0, [])


def test_a_cluster_that_is_there_needs_no_room(
    disk: Callable[[str, int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = disk("state", 1)
    (state / "containerd").mkdir()
    monkeypatch.setenv("SLIPWAY_CLUSTER_CACHE", str(disk("cache", 1)))
    need_room(state, 0, [])
