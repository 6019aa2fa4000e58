"""What a run has done so far: one JSON line for each fact, on disk before anything is built on it."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hera_workflows.local.result import ON_EXIT, NodeResult
from slipway.errors import Misconfigured

__all__ = ["Journal", "Past", "read_journal"]


@dataclass(slots=True)
class Past:
    """What earlier processes of the same run left in the journal."""

    identity: Mapping[str, Any] | None = None  # manifest digest and parameters; None: a new run
    status: str | None = None  # None: it did not end
    started: float = 0.0  # seconds since 1970
    ended: dict[str, NodeResult] = field(default_factory=dict)  # nodes that need not run again
    attempts: dict[str, list[float]] = field(default_factory=dict)  # start times of attempts that failed

    def resume(self) -> None:
        """Forget what a run after the end must do again: what failed, and the exit handler's word about it."""
        if self.status is not None:
            self.ended = {node: result for node, result in self.ended.items() if not result.failed and node != ON_EXIT}
            self.attempts.clear()
            self.status = None


def read_journal(path: Path) -> Past:
    """The facts in a journal; a torn last line, which a kill leaves, is as if it had not been written.

    Raises Misconfigured for a broken line elsewhere: then the file was edited.
    """
    past = Past()
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return past
    for count, line in enumerate(lines[:-1], start=1):  # what follows the last newline is torn
        try:
            _take(past, json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise Misconfigured(f"{path}:{count} is broken ({error}); remove the folder {path.parent}") from None
    return past


def _take(past: Past, fact: Mapping[str, Any]) -> None:
    match fact["fact"]:
        case "run":
            past.identity, past.started = fact["identity"], fact["started"]
        case "resume":
            past.resume()
        case "attempt":
            past.attempts.setdefault(fact["node"], []).append(fact["started"])
        case "end":
            log = Path(fact["log"]) if fact["log"] else None
            result = NodeResult(**{**fact["result"], "log": log})
            past.ended[result.id] = result
        case "status":
            past.status = fact["status"]


class Journal:
    """Appends facts; each is on disk when the call returns."""

    def __init__(self, path: Path) -> None:
        # A torn last line is cut off first, so that the next fact does not run into it.
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        content = path.read_bytes()
        os.ftruncate(self._file, content.rfind(b"\n") + 1)
        os.lseek(self._file, 0, os.SEEK_END)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        os.fsync(folder)
        os.close(folder)

    def write(self, fact: str, **values: Any) -> None:
        """Append one fact; raises OSError when it cannot, and then nothing may be appended after it."""
        line = (json.dumps({"fact": fact, **values}, separators=(",", ":")) + "\n").encode()
        if os.write(self._file, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fdatasync(self._file)

    def ended(self, result: NodeResult) -> None:
        """Append that a node ended."""
        values = {name: getattr(result, name) for name in NodeResult.__slots__ if name != "log"}
        self.write("end", result=values, log=str(result.log) if result.log else None)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
