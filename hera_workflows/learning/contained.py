"""Run people's code in a process of its own: bounded in time and output, leaving no process behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

__all__ = ["Ended", "die_with_parent", "run_contained"]

PARENT = "SLIPWAY_PARENT"
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_ROUNDS = 100  # a process that forks while it is being killed is found in the next round
_READ = 1 << 16
_TAIL = 4000  # bytes kept of the end of the output


@dataclass(frozen=True, slots=True)
class Ended:
    """How the process ended."""

    code: int | None  # exit code, negative for a signal; None when it was stopped at its time limit
    printed: int  # bytes
    tail: str  # the end of its output


def run_contained(
    command: Sequence[str],
    *,
    timeout: float,
    cwd: Path,
    max_output: int,
    forward: Callable[[bytes], None] = lambda _: None,
    env: Mapping[str, str] | None = None,
) -> Ended:
    """Run `command`; after `timeout` seconds, and at the end, every process that came of it is killed.

    The first `max_output` bytes that it prints go to `forward` as they come; the rest is read and dropped.
    """
    # Whoever loses its parent becomes our child, so that no fork, however it hides, leaves our tree.
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    others = set(_below())
    process = subprocess.Popen(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, **(env or {}), PARENT: str(os.getpid()), "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    deadline, printed, tail = time.monotonic() + timeout, 0, b""
    code: int | None = None
    try:
        os.set_blocking(process.stdout.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                selector.select(min(left, 0.2))
                chunk = process.stdout.read(_READ)
                if chunk:
                    forward(chunk[: max(0, max_output - printed)])
                    if printed < max_output <= printed + len(chunk):
                        forward(f"\n(more than {max_output} bytes were printed; the rest is left out)\n".encode())
                    printed += len(chunk)
                    tail = (tail + chunk)[-_TAIL:]
                # A child of the child may keep the pipe open; the process's own end is what counts.
                elif (code := process.poll()) is not None:
                    break
    finally:
        _kill_all_but(others)
        process.wait()
        process.stdout.close()
    return Ended(code, printed, tail.decode(errors="replace"))


def _below() -> list[psutil.Process]:
    import psutil

    return list(psutil.Process().children(recursive=True))


def _kill_all_but(others: Collection[psutil.Process]) -> None:
    """Kill every process below this one that was not there before."""
    import psutil

    for _ in range(_ROUNDS):
        found = []
        for each in _below():
            with contextlib.suppress(psutil.NoSuchProcess):
                if each not in others and each.status() != psutil.STATUS_ZOMBIE:
                    each.kill()
                    found.append(each)
        if not found:
            return
        psutil.wait_procs(found, timeout=1)


def _prctl(option: int, value: int) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def die_with_parent() -> None:
    """Called in the contained process: the kernel kills it when the process that started it dies, even by kill -9."""
    if not sys.platform.startswith("linux") or PARENT not in os.environ:
        return
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ[PARENT]):
        # It died before the line above.
        os._exit(1)
