"""How does a folder appear whole or not at all, on one file system?

Work is done in `<staging>/<name>/` under a lock that the kernel drops when its owner dies, so what a killed process
left behind is told apart from what a living one is writing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slipway.errors import TryAgain
from slipway.lock import locked

__all__ = ["place", "remove_tree", "staged", "sweep", "sync_tree"]


@contextmanager
def staged(staging: Path, name: str, wait_s: float = 60.0) -> Iterator[Path]:
    """An empty folder of this name that nobody else writes to; removed at the end if it was not placed."""
    lock = staging / f"{name}.lock"
    with locked(lock, f"writing {staging / name}", wait=wait_s):
        folder = staging / name
        remove_tree(folder)
        folder.mkdir()
        try:
            yield folder
        finally:
            remove_tree(folder)
            lock.unlink(missing_ok=True)


def sync_tree(folder: Path) -> None:
    """Put every file and folder below onto the disk; a link lies in its folder."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in (*(name for name in names if not Path(parent, name).is_symlink()), "."):
            descriptor = os.open(Path(parent, name), os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def place(folder: Path, target: Path) -> None:
    """Make a synced folder visible under its name by one rename; raises FileExistsError if target is not free."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Linux replaces an empty folder and nothing else, and a folder without files is not a version.
        folder.rename(target)
    except OSError as error:
        if target.exists():
            raise FileExistsError(error.errno, "exists already", str(target)) from None
        raise
    for changed in (target.parent, target.parent.parent):
        descriptor = os.open(changed, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sweep(staging: Path) -> list[str]:
    """Remove what dead processes left in staging; returns the names that were removed."""
    removed = []
    for path in sorted(staging.iterdir()) if staging.is_dir() else []:
        name = path.name.removesuffix(".lock")
        with contextlib.suppress(TryAgain), locked(staging / f"{name}.lock", name, wait=0.0):
            if (staging / name).exists():
                removed.append(name)
            remove_tree(staging / name)
            (staging / f"{name}.lock").unlink(missing_ok=True)
    return removed


def remove_tree(folder: Path) -> None:
    """Remove a folder if it is there; a file where a folder should be is removed too."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except NotADirectoryError:
        folder.unlink()
