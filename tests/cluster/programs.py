"""Is each long-running program of the cluster up, with the settings that it should have?"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import TryAgain
from tests.cluster import network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.cluster.place import Place

__all__ = ["Program", "pids", "start", "stop", "wait_until"]

# A running program is found by this variable in its environment: no pid file that could be stale or of another process.
# Its children inherit the variable (containerd's shims outlive it), so it also says which executable it was given to.
_MARK = "SLIPWAY_CLUSTER_PROGRAM"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Program:
    """What to run inside the cluster's network; a change of `files` restarts it."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    user: int = 0

    def digest(self) -> str:
        summary = hashlib.sha256(repr((list(self.arguments), dict(self.environment), self.user)).encode())
        for path in self.files:
            summary.update(path.read_bytes())
        return summary.hexdigest()[:16]


def start(place: Place, program: Program) -> None:
    """Leave the program running with these settings; a no-op if it is. The caller is inside the network."""
    mark = f"{program.name}:{program.digest()}:{Path(program.arguments[0]).resolve()}"
    found = pids(program.name)
    if found and all(_mark(pid) == mark for pid in found):
        return
    stop(program.name)
    log = place.path("logs", f"{program.name}.log").open("ab")
    with log:
        subprocess.Popen(
            list(program.arguments),
            env={"PATH": _PATH, "HOME": str(place.folder), **program.environment, _MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            user=program.user or None,
            group=program.user or None,
            extra_groups=[] if program.user else None,
            cwd="/",
        )


def stop(name: str, seconds: float = 20) -> None:
    """End the program: asked first, killed after `seconds`."""
    for signum, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 10.0)):
        found = pids(name)
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signum)
        if not found or _eventually(lambda: not pids(name), patience):
            return
    raise TryAgain(f"{name} does not end (processes {pids(name)}); run `make cluster-down` again")


def pids(name: str) -> list[int]:
    """The processes that were started as the program."""
    return [pid for pid in network.processes() if (_mark(pid) or "").startswith(f"{name}:")]


def wait_until(place: Place, what: str, check: Callable[[], bool], seconds: float, *, log: str = "") -> None:
    """Return when check() holds. Raises TryAgain with the end of the program's log after `seconds`."""
    if _eventually(check, seconds):
        return
    path = place.path("logs", f"{log}.log")
    tail = path.read_text(errors="replace")[-1500:] if log and path.is_file() else ""
    raise TryAgain(f"{what}: not so after {seconds:.0f} s; see {path if log else place.folder}\n{tail}")


def _eventually(check: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _mark(pid: int) -> str | None:
    """The mark of a process that runs the executable which was marked."""
    try:
        executable = str(Path(f"/proc/{pid}/exe").readlink()).removesuffix(" (deleted)")
        for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if entry.startswith(_MARK.encode() + b"="):
                mark = entry.partition(b"=")[2].decode()
                return mark if mark.endswith(f":{executable}") else None
    except OSError:
        return None  # it ended meanwhile
    return None
