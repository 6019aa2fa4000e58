"""A cluster that goes leaves the machine's kernel as it was before its first kubelet; in a copy of /proc/sys."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from slipway.errors import TryAgain
from tests.cluster import kernel
from tests.cluster.place import Place

MACHINES = {"vm/overcommit_memory": "0", "vm/panic_on_oom": "0", "kernel/panic": "1", "kernel/panic_on_oops": "0"}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "state", {})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """/proc/sys of a machine that was just booted."""
    root = tmp_path / "sys"
    _set(root, MACHINES)
    return root


def _set(root: Path, values: dict[str, str]) -> None:
    for name, value in values.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{value}\n")


def _kubelet(root: Path) -> None:
    _set(root, {name: kernel.KUBELETS[name] for name in MACHINES})


def _values(root: Path) -> dict[str, str]:
    return {name: (root / name).read_text().strip() for name in MACHINES}


def _nothing(place: Place, root: Path) -> None:
    """The cluster goes on."""


def _killed(place: Place, root: Path) -> None:
    """`up` runs again, on the kernel as a kubelet left it."""
    kernel.remember(place, root)
    _kubelet(root)


def _rebooted(place: Place, root: Path) -> None:
    """`up` runs again, on a kernel that is as at first."""
    _set(root, MACHINES)
    _killed(place, root)


@pytest.mark.parametrize("meanwhile", [_nothing, _killed, _rebooted], ids=["nothing", "a kill", "a reboot"])
def test_down_sets_back_what_a_kubelet_changed_whatever_happened_meanwhile(
    place: Place, root: Path, meanwhile: Callable[[Place, Path], None]
) -> None:
    kernel.remember(place, root)
    _kubelet(root)
    meanwhile(place, root)
    kernel.restore(place.folder, root)
    assert _values(root) == MACHINES
    assert kernel.changed(place.folder, root) == []


def test_what_a_kubelet_changed_is_listed_with_what_it_was(place: Place, root: Path) -> None:
    kernel.remember(place, root)
    _kubelet(root)
    assert kernel.changed(place.folder, root) == [
        "kernel setting vm/overcommit_memory (was 0)",
        "kernel setting kernel/panic (was 1)",
        "kernel setting kernel/panic_on_oops (was 0)",
    ]


def test_what_a_person_set_meanwhile_stays(place: Place, root: Path) -> None:
    kernel.remember(place, root)
    _kubelet(root)
    _set(root, {"vm/overcommit_memory": "2"})
    kernel.restore(place.folder, root)
    assert _values(root) == MACHINES | {"vm/overcommit_memory": "2"}


def test_a_cluster_without_a_kubelet_has_changed_nothing(place: Place, root: Path) -> None:
    _kubelet(root)
    kernel.restore(place.folder, root)
    assert kernel.changed(place.folder, root) == []
    assert _values(root) == {name: kernel.KUBELETS[name] for name in MACHINES}


def test_a_setting_that_cannot_be_set_back_is_named_with_its_value(place: Place, root: Path) -> None:
    kernel.remember(place, root)
    _kubelet(root)
    for options in ("bind", "remount,bind,ro"):
        if subprocess.run(["mount", "-o", options, root, root], capture_output=True, check=False).returncode:
            pytest.skip("may not mount a file system: run as root")
    try:
        with pytest.raises(TryAgain, match="vm/overcommit_memory was 0 and cannot be set back"):
            kernel.restore(place.folder, root)
    finally:
        subprocess.run(["umount", root], check=True)
