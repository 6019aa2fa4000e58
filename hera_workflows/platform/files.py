"""How does a small file appear whole or not at all, and who else is at work in this folder?"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from slipway.errors import TryAgain

__all__ = ["lock", "write"]


def write(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Put `content` at `path` by one rename, on disk before it is visible; a reader sees the old or the new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    staged.replace(path)


@contextlib.contextmanager
def lock(path: Path, what: str, *, timeout: float) -> Iterator[None]:
    """Hold an exclusive lock on `path`; it falls with the process, however that ends.

    Raises TryAgain after `timeout` seconds, naming `what` is going on elsewhere.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise TryAgain(
                        f"{what} has gone on elsewhere for {timeout:g} s (lock {path}); try again later"
                    ) from None
                time.sleep(0.02)
        yield
