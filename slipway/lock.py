"""Who else is at work here? A file lock, which falls with its process, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slipway.errors import TryAgain

__all__ = ["locked"]


@contextmanager
def locked(path: Path, what: str, *, wait: float) -> Iterator[None]:
    """Hold the lock file at `path`; raises TryAgain, naming `what`, when another process keeps it `wait` seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The owner before us may have removed the file; then this lock locks nobody out.
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_ino == os.fstat(descriptor).st_ino:
                    break
            os.close(descriptor)
        except BlockingIOError:
            os.close(descriptor)
            if time.monotonic() > deadline:
                raise TryAgain(
                    f"{what} goes on in another process (lock {path}); run this again when it has ended"
                ) from None
            time.sleep(0.02)
    try:
        yield
    finally:
        os.close(descriptor)
