"""Stand in line with this machine's other writers of one repository.

Only a courtesy, which saves everybody from losing races: what keeps a write right is its lease. So the wait is bounded,
and a machine without file locks goes without.
"""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["turn"]


@contextmanager
def turn(folder: Path, wait: float) -> Iterator[None]:
    """Be the only one of those who take turns in `folder`, or go on after `wait` seconds."""
    # A plain flock cannot time out and a polled one burns the processor that the writer in front needs.
    line = _Line((folder / "slipway.lock").open("ab"))
    line.start()
    line.served.wait(wait)
    try:
        yield
    finally:
        line.leave()


class _Line(threading.Thread):
    """Waits for the lock; whoever comes last of this thread and its owner closes the file, which unlocks it."""

    def __init__(self, lock: BinaryIO) -> None:
        super().__init__(daemon=True)
        self.served = threading.Event()
        self._lock = lock
        self._guard = threading.Lock()
        self._first_gone = False

    def run(self) -> None:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.served.set()
        self.leave()

    def leave(self) -> None:
        with self._guard:
            if self._first_gone:
                self._lock.close()
            self._first_gone = True
