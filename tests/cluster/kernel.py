"""Which kernel settings of the machine does a kubelet change, and what were they before?

Those of a network are the cluster's own, and go with its namespace.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import TryAgain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.cluster.place import Place

__all__ = ["KUBELETS", "changed", "own", "recorded", "remember", "restore"]

_ROOT = Path("/proc/sys")
_RECORD = "kernel.json"
# What kubelet sets, whatever it finds: setupKernelTunables in its container_manager_linux.go.
KUBELETS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def own(found: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
    """The machine's own values; before: those that were recorded.

    A kubelet's value may be one's that ran before, so the recorded one stays. Any other is the machine's: after a
    reboot, or where a person changed it.
    """
    return {name: before.get(name, value) if value == KUBELETS[name] else value for name, value in found.items()}


def remember(place: Place, root: Path = _ROOT) -> None:
    """Record the machine's own values, before a kubelet starts."""
    place.write(_RECORD, own(_found(root), recorded(place.folder)))


def recorded(folder: Path) -> dict[str, str]:
    """By name, as it is below /proc/sys; empty if no kubelet was started."""
    path = folder / _RECORD
    values: dict[str, str] = json.loads(path.read_text()) if path.is_file() else {}
    return values


def changed(folder: Path, root: Path = _ROOT) -> list[str]:
    """What a kubelet has changed, one line each."""
    return [f"kernel setting {name} (was {value})" for name, value in _changed(folder, root).items()]


def restore(folder: Path, root: Path = _ROOT) -> None:
    """Set back what a kubelet has changed; none must run. Raises TryAgain."""
    for name, value in _changed(folder, root).items():
        try:
            (root / name).write_text(value)
        except OSError as problem:
            raise TryAgain(
                f"{root / name} was {value} and cannot be set back: {problem}; run `make cluster-down` again"
            ) from problem


def _changed(folder: Path, root: Path) -> dict[str, str]:
    found = _found(root)
    return {name: value for name, value in own(found, recorded(folder)).items() if value != found[name]}


def _found(root: Path) -> dict[str, str]:
    paths = {name: root / name for name in KUBELETS}
    return {name: path.read_text().strip() for name, path in paths.items() if path.is_file()}
