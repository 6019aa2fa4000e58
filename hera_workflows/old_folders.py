"""When was each folder of the workspace last written to, and how does one go that people's code wrote?"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from slipway.text import one_line

__all__ = ["remove_folder", "touched", "touched_folders"]

_GONE = ".gone-"  # before the name of a folder that is being removed


def touched_folders(workspace: Path | None) -> dict[Path, datetime]:
    """Each run's folder in the workspace and each data set's in the cache, and when something in it was last made."""
    if workspace is None:
        return {}
    runs = [folder for folder in _folders(workspace) if folder.name != "datasets"]
    models = _folders(workspace / "datasets")
    for model in models:
        _open(model)  # even in a dry run: in a folder that people's code closed, nothing can be seen
    sets = [entry for model in models for entry in _folders(model) if entry.name != ".locks"]
    return {folder: when for folder in runs + sets if (when := touched(folder)) is not None}


def touched(folder: Path) -> datetime | None:
    """When something in a folder was last made; None when it is gone. Long ago, where a removal was interrupted."""
    times = [0.0]
    for parent in _within(folder) if not folder.name.startswith(_GONE) else ():
        with suppress(OSError):  # a step that runs moves what it has finished
            seen = parent.lstat()
            # People's code may set st_mtime to any day to come. Alone, st_ctime would be too young: where a volume
            # takes a pod's fsGroup, each pod that mounts it sets the owner of every file in it again.
            times.append(min(seen.st_mtime, seen.st_ctime))
    return datetime.fromtimestamp(max(times), UTC) if folder.exists() else None


def remove_folder(folder: Path) -> str | None:
    """Remove a folder, even one that people's code made read-only, and follow no link; what stays and why, if it does.

    It has another name before anything in it goes: half a data set must not be taken for the whole. A name of its own,
    since people's code could have put something in the place of one that it knows.
    """
    left = folder
    try:
        if not folder.name.startswith(_GONE):
            left = folder.rename(folder.with_name(f"{_GONE}{uuid4().hex}"))
        for parent in _within(left):
            _open(parent)
        shutil.rmtree(left)
    except (OSError, RecursionError) as error:
        return f"{one_line(str(left))} cannot be removed ({_why(error)})" if os.path.lexists(left) else None
    return None


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _within(folder: Path) -> Iterator[Path]:
    """A folder and every folder below it, each before what it holds is listed."""
    waiting = [folder]
    while waiting:
        yield (parent := waiting.pop())
        with suppress(OSError), os.scandir(parent) as entries:
            waiting += [Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False)]


def _open(folder: Path) -> None:
    """Let its owner list and change a folder; another's folder stays as it is."""
    with suppress(OSError):
        mode = folder.lstat().st_mode
        if stat.S_ISDIR(mode) and mode & stat.S_IRWXU != stat.S_IRWXU:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IRWXU)


def _folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return [child for child in parent.iterdir() if child.is_dir() and not child.is_symlink()]
