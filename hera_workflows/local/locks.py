"""Who alone may do something, among all runs under one root: file locks that end with their holder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from pathlib import Path

from hera_workflows.local.stale import kill_marked

__all__ = ["Lock", "lock_path", "try_lock"]


class Lock:
    """A held lock; the kernel releases it when this process dies, however it dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the next one have it."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def try_lock(folder: Path, name: str, holder: str) -> Lock | str:
    """The lock called `name`, or the holder that has it now.

    holder: the mark of this run's processes. What a killed holder's steps left running is ended before the lock is
    handed out, so that two of them never overlap.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = lock_path(folder, name)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        current = os.pread(descriptor, 4096, 0).decode("utf-8", "replace")
        os.close(descriptor)
        return current
    if (last := os.pread(descriptor, 4096, 0).decode("utf-8", "replace")) and last != holder:
        kill_marked(last)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, holder.encode(), 0)
    return Lock(descriptor)


def lock_path(folder: Path, name: str) -> Path:
    """The file of the lock called `name`, whatever characters the name has."""
    readable = re.sub(r"[^a-z0-9-]+", "-", name.lower())[:40]
    return folder / f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:12]}.lock"
