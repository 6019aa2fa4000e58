"""What of the cluster is on this machine, and how is it removed without a trace?"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import TryAgain
from tests.cluster import debian, kernel, network
from tests.cluster.ownership import is_here, need_ours, pod_groups
from tests.cluster.place import APART, RUN

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["leftovers", "power_off", "remove"]

# These folders are fixed in kubelet, containerd and CNI; each is removed only where it holds nothing of anyone else's.
_FIXED = (Path("/var/lib/kubelet"), Path("/var/log/containers"), Path("/var/log/pods"), Path("/run/containerd"),
          Path("/var/lib/cni"), Path("/run/netns"), Path("/run/runc"))  # fmt: skip


def power_off(folder: Path) -> None:
    """End every process in the cluster's network but this one, and every pod; leave the files on disk and no more.

    Raises Misconfigured if the cluster is another folder's, TryAgain if something does not end or cannot be unmounted.
    """
    need_ours(folder)
    for _ in range(100):
        found = [*network.processes(), *_pod_processes()]
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for group in _groups():
            with suppress(OSError):
                group.rmdir()
        if not found and not _groups():
            break
        time.sleep(0.1)
    else:
        raise TryAgain(f"processes {found} do not end, or their pods' groups; run `make cluster-down` again")
    for path in _mounts(folder):
        subprocess.run(["umount", "--lazy", path], check=False, capture_output=True, timeout=30)
    for pod in _pod_networks():
        subprocess.run(["ip", "netns", "delete", pod.name], check=False, capture_output=True, timeout=30)
    if mounts := _mounts(folder):
        # Deleting through a mount would delete what is mounted.
        raise TryAgain(f"{', '.join(mounts)} cannot be unmounted; end what uses them and run `make cluster-down` again")
    # Last, since by these two the cluster is known for ours.
    network.delete()
    shutil.rmtree(RUN, ignore_errors=True)


def remove(folder: Path, say: Callable[[str], None]) -> None:
    """Stop everything, set the machine's kernel back and delete the state. Raises TryAgain if something is left."""
    ours = is_here() or folder.exists()
    power_off(folder)
    kernel.restore(folder)  # before its record goes with the state
    shutil.rmtree(folder, ignore_errors=True)
    for path in _addresses():
        path.unlink(missing_ok=True)
    debian.allow_services()
    for path in _FIXED if ours else ():
        _remove_empty(path)
    left = leftovers(folder)
    for line in left:
        say(f"left: {line}")
    if left:
        raise TryAgain(f"{len(left)} things of the cluster are still here; run `make cluster-down` again")


def leftovers(folder: Path) -> list[str]:
    """Everything of the cluster that is on this machine, one line each; empty if it is down.

    Its interfaces and firewall rules are in its network namespace, and go with it.
    """
    # A process is in a group of each of the hierarchies.
    found = [f"process {pid}" for pid in sorted({*network.processes(), *_pod_processes()})]
    found += [f"mount {path}" for path in _mounts(folder)]
    found += [f"cgroup {path}" for path in _groups()]
    found += [f"network namespace {path}" for path in _pod_networks()]
    found += [f"network namespace {network.NAME}"] if network.exists() else []
    found += [f"folder {path}" for path in (folder, RUN) if path.exists()]
    found += [f"file {path}" for path in (*_addresses(), *debian.policies())]
    found += kernel.changed(folder)
    return found


def _addresses() -> list[Path]:
    """What CNI noted of our pods, in a folder that is fixed and shared: the notes with our DNS server in them."""
    return [path for path in Path("/var/lib/cni/results").glob("*-*") if APART in path.read_text(errors="replace")]


def _pod_processes() -> list[int]:
    return [int(line) for group in _groups() for line in _lines(group / "cgroup.procs")]


def _groups() -> list[Path]:
    return pod_groups() if is_here() else []


def _pod_networks() -> list[Path]:
    return list(Path("/run/netns").glob("cni-*")) if is_here() else []


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []  # the group went meanwhile


def _mounts(folder: Path) -> list[str]:
    """What is mounted in the cluster's folders, the last mounted first."""
    places = (f"{folder}/", f"{RUN}/", *(str(path) for path in _pod_networks()))
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in reversed(lines) if line.split()[4].startswith(places)]


def _remove_empty(folder: Path) -> None:
    """Delete dead sockets, dangling links and lock files that the cluster made, and folders that are then empty."""
    if not folder.is_dir():
        return
    for path in sorted(folder.rglob("*"), reverse=True):
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            elif (path.is_symlink() and not path.exists()) or (path.is_socket() and _dead(path)):
                path.unlink()
    with suppress(OSError):
        folder.rmdir()


def _dead(path: Path) -> bool:
    """Whether nobody listens: another container engine on the machine keeps its sockets."""
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(str(path))
        except ConnectionRefusedError:
            return True
    return False
