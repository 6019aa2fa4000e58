"""Become Triton, after writing down who that is.

`python -m triton_repo.launch RECORD NOTE PROGRAM ARGUMENT…`: the process adds its own pid and start time to NOTE (a
JSON object), writes that as RECORD, and then turns into the server. So there is no moment at which a server runs that
nobody knows of, kill -9 of its starter included.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

__all__ = ["start_time"]


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when it has ended. Tells a recycled pid apart."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _main(record: Path, note: str, program: list[str]) -> None:
    partial = record.with_name(f".{record.name}.partial")
    partial.write_text(json.dumps({**json.loads(note), "pid": os.getpid(), "started": start_time(os.getpid())}))
    partial.replace(record)
    os.execv(program[0], program)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
