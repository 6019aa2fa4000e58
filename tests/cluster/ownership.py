"""Whose is what on this machine: this cluster's, that of another folder, or another Kubernetes'?"""

from __future__ import annotations

import os
from pathlib import Path

from slipway.errors import Misconfigured
from tests.cluster import network
from tests.cluster.place import RUN

__all__ = ["claim", "is_here", "need_ours", "pod_groups"]

_CGROUPS = Path("/sys/fs/cgroup")
_STATE = RUN / "state"  # a link to the folder of the cluster that is here


def claim(folder: Path) -> None:
    """Make the folder this machine's cluster. Raises Misconfigured if another's is here."""
    need_ours(folder)
    if not is_here() and (found := pod_groups()):
        # Pods' processes are found by these groups, and what is found there is killed when the cluster goes.
        raise Misconfigured(f"another Kubernetes has pods on this machine ({found[-1]}); use one that has none")
    RUN.mkdir(exist_ok=True)
    _STATE.unlink(missing_ok=True)
    _STATE.symlink_to(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")


def need_ours(folder: Path) -> None:
    """Raises Misconfigured if the cluster that is here is that of another folder which still exists."""
    if _STATE.is_symlink() and (other := _STATE.readlink()) != folder and other.is_dir():
        raise Misconfigured(
            f"the cluster of {other} is here, and a machine has room for one; run `make cluster-down` there"
        )


def is_here() -> bool:
    """Whether a cluster of ours is on this machine, or what a kill left of one."""
    return _STATE.is_symlink() or network.exists()


def pod_groups() -> list[Path]:
    """The control groups in which kubelets put pods, the deepest first."""
    tops = (*_CGROUPS.glob("*/kubepods"), _CGROUPS / "kubepods")
    # Unlike Path.rglob, os.walk takes it that groups go while it looks, as they do when their processes end.
    return [Path(folder) for top in tops for folder, _, _ in os.walk(top, topdown=False)]
