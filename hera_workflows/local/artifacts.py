"""Which files does a step leave for people, and where are they kept?"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from hera_workflows.local.container import located
from hera_workflows.local.manifest import Template
from hera_workflows.local.substitution import substitute

__all__ = ["keep"]

_LARGEST = 2**28  # bytes


def keep(template: Template, mounts: Mapping[str, Path], values: Mapping[str, str], log: Path) -> None:
    """Copy each output artifact to a file beside the step's log: `validate.log`, `validate.report.html`.

    Raises OSError or ValueError, with what is wrong, when one that is not optional cannot be had.
    """
    for artifact in template.outputs.artifacts:
        folder, rest = located(artifact.path, mounts)
        path = Path(folder + substitute(rest, values))
        try:
            _copy(path, log.with_suffix(f".{artifact.name}{path.suffix}"))
        except FileNotFoundError:
            if not artifact.optional:
                raise


def _copy(source: Path, target: Path) -> None:
    # A step may leave anything at that path: a link, a pipe, more than the disk holds.
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
            raise ValueError(f"{source} is not a regular file of at most {_LARGEST} bytes")
        partial = target.with_name(f".{target.name}.partial")
        with partial.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        partial.rename(target)
