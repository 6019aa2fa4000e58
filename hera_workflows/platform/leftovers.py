"""What did killed processes leave outside the platform's folder?

Scratch folders remove themselves, unless their process is killed with -9. Triton's python backend makes an empty
`/tmp/python_env_XXXXXX` a server, wherever TMPDIR points.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

__all__ = ["sweep"]

_OURS = ("slipway-git-*", "slipway-job-*", "slipway-champion-*", "slipway-serve-*")
_OLD = 7 * 86400.0  # seconds; longer than any training, whose folder is not written to while it goes on
_TRITON = Path("/tmp")


def sweep(scratch: Path | None = None, triton: Path = _TRITON) -> None:
    """Remove this user's scratch folders that nobody touched for a week; Triton's too if none of this user runs."""
    now = time.time()
    for pattern in _OURS:
        for folder in (scratch or Path(tempfile.gettempdir())).glob(pattern):
            with contextlib.suppress(OSError):
                if folder.stat().st_uid == os.getuid() and now - folder.stat().st_mtime > _OLD:
                    shutil.rmtree(folder)
    if not _triton_runs():
        for folder in triton.glob("python_env_??????"):
            with contextlib.suppress(OSError):
                if folder.stat().st_uid == os.getuid():
                    folder.rmdir()  # refuses one with something in it


def _triton_runs() -> bool:
    import psutil

    mine = os.getuid()
    return any(
        process.info["name"] == "tritonserver" and process.info["uids"] and process.info["uids"].real == mine
        for process in psutil.process_iter(["name", "uids"])
    )
