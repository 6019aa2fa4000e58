"""Which living processes belong to a platform, and how are they all stopped?

Every process that a platform starts carries a mark in its environment, and its children inherit it. So nothing is
lost when somebody is killed between starting a process and writing down its pid, and a recycled pid is never taken
for ours.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hera_workflows.local.stale import begins
from slipway.errors import TryAgain

if TYPE_CHECKING:
    import psutil

__all__ = ["belonging", "marked", "marks", "start", "stop"]

HOME, ROLE = "SLIPWAY_PLATFORM", "SLIPWAY_ROLE"
_ROUNDS = 50


def marks(home: Path, role: str) -> dict[str, str]:
    """The environment variables that mark a process as `role` of the platform at `home`."""
    return {HOME: str(home), ROLE: role}


@contextlib.contextmanager
def marked(home: Path, role: str) -> Iterator[None]:
    """Mark every process that is started inside this block, by whatever library."""
    before = {name: os.environ.get(name) for name in (HOME, ROLE)}
    os.environ.update(marks(home, role))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def belonging(home: Path, role: str | None = None) -> list[psutil.Process]:
    """Every living process of the platform at `home`, of that role only when one is given; never this process."""
    import psutil

    found = []
    for process in psutil.process_iter():
        # A process that ended meanwhile, or another user's, is not ours to see.
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            environment = process.environ()
            if environment.get(HOME) == str(home) and role in (None, environment.get(ROLE)):
                found.append(process)
    return found


def start(
    arguments: Sequence[str], *, home: Path, role: str, log: Path, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a detached process of the platform: its own session, its output appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=home,
            env={**(os.environ if env is None else env), **marks(home, role)},
        )
    # The kernel shows the new environment a moment after the program has begun; from here on the mark is seen.
    while process.poll() is None and not Path(f"/proc/{process.pid}/environ").read_bytes():
        time.sleep(0.001)
    return process


def stop(home: Path, role: str | None = None, *, timeout: float = 20) -> int:
    """End the platform's processes: SIGTERM, then SIGKILL after `timeout` seconds; returns how many there were.

    Parents go before their children, so that a workflow's runner ends its steps instead of seeing them fail. Looks
    again afterwards, because a process may have started another one just before it ended. Raises TryAgain when some
    process outlives SIGKILL.
    """
    import psutil

    seen: set[psutil.Process] = set()
    for _ in range(_ROUNDS):
        undecided = any(begins(pid) for pid in psutil.pids())
        processes = belonging(home, role)
        if not processes and not undecided:
            return len(seen)
        seen |= set(processes)
        pids = {process.pid for process in processes}
        with contextlib.suppress(psutil.NoSuchProcess):
            processes = [process for process in processes if process.ppid() not in pids]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        _, alive = psutil.wait_procs(processes, timeout=timeout)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=timeout)
        if not processes:
            time.sleep(0.01)
    if not (left := belonging(home, role)):
        return len(seen)
    raise TryAgain(f"{len(left)} processes of {home} do not end; see `ps`, then run this again")
