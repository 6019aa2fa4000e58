"""Which processes belong to a step, wherever they went, and how they are ended.

Every step has a variable in its environment that its children inherit, also those that leave its session.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

__all__ = ["MARK", "begins", "kill_marked"]

MARK = "SLIPWAY_STEP"
_NEW = 2.0  # seconds
_ROUNDS = 50  # a process that forks while it is being killed is found in the next round


def kill_marked(prefix: str) -> int:
    """Kill every process whose MARK begins with `prefix`; return how many there were.

    A process id that was given to somebody else in between is never signalled.
    """
    wanted = f"{MARK}={prefix}".encode()
    killed = 0
    for _ in range(_ROUNDS):
        pids = _pids()
        undecided = any(begins(pid) for pid in pids)  # asked first: what shows its environment since is found below
        found = [pid for pid in pids if _carries(pid, wanted) and _kill(pid, wanted)]
        if not found and not undecided:
            break
        killed += len(found)
        time.sleep(0.01)
    return killed


def begins(pid: int) -> bool:
    """Whether a process has just begun a program and shows no environment yet; that takes some milliseconds."""
    process = Path(f"/proc/{pid}")
    # An older one without an environment was given none; a kernel thread and a zombie have no program.
    with contextlib.suppress(OSError):
        if not (process / "environ").read_bytes() and (process / "exe").readlink():
            ticks = int((process / "stat").read_text().rpartition(")")[2].split()[19])
            return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK") < _NEW
    return False


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and path.name != str(os.getpid())]


def _carries(pid: int, wanted: bytes) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False  # gone, or somebody else's
    return environment.startswith(wanted) or b"\0" + wanted in environment


def _kill(pid: int, wanted: bytes) -> bool:
    # The descriptor names this process and no later one with its number; so look again after opening it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        descriptor = os.pidfd_open(pid)
        try:
            if _carries(pid, wanted):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                return True
        finally:
            os.close(descriptor)
    return False
