"""Where a step's output goes: its beginning and its end, whatever it prints in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hera_workflows.terminal import printable

__all__ = ["CAP", "CappedLog", "log_parts"]

CAP = 8 * 2**20  # bytes of the beginning, and of the end, that are kept


def log_parts(path: Path) -> list[Path]:
    """The files that together are the log, in order; while a step prints much there are two more beside the first."""
    return [part for part in (path, _part(path, "older"), _part(path, "newer")) if part.exists()]


def _part(path: Path, age: str) -> Path:
    return path.with_name(f"{path.name}.{age}")


class CappedLog:
    """Appends one attempt's output to `path`; at most 3 * CAP bytes on disk meanwhile and 2 * CAP afterwards.

    The beginning goes to the file itself. What follows goes to `.newer`, which becomes `.older` when it is full,
    so the disk and the memory never fill and the last lines can always be read.
    """

    def __init__(self, path: Path, cap: int = CAP, echo: Callable[[bytes], None] | None = None) -> None:
        self._path, self._cap, self._echo = path, cap, echo
        path.parent.mkdir(parents=True, exist_ok=True)
        _join(path, 0, cap)  # what a killed runner left
        self._file = path.open("ab", buffering=0)
        self._room = cap
        self._tail = False
        self._dropped = 0
        self._line = b""

    def write(self, data: bytes) -> None:
        """Take some output; raises OSError when the disk is full."""
        if data:
            self._line = (self._line + data)[-4096:]
            if self._echo is not None:
                self._echo(data)
        while data:
            if self._room == 0:
                self._rotate()
            piece, data = data[: self._room], data[self._room :]
            self._file.write(piece)
            self._room -= len(piece)

    def _rotate(self) -> None:
        self._file.close()
        newer, older = _part(self._path, "newer"), _part(self._path, "older")
        if self._tail:
            self._dropped += older.stat().st_size if older.exists() else 0
            newer.replace(older)
        self._tail = True
        self._file = newer.open("wb", buffering=0)
        self._room = self._cap

    def last_line(self) -> str:
        """The last line that is not blank, at most 500 characters, control characters shown as `?`."""
        lines = [line for line in self._line.decode("utf-8", "replace").splitlines() if line.strip()]
        return printable(lines[-1].strip()[-500:]) if lines else ""

    def close(self) -> None:
        """Join beginning and end into the one file, with a line that says how much was dropped between them."""
        self._file.close()
        _join(self._path, self._dropped, self._cap)


def _join(path: Path, dropped: int, cap: int) -> None:
    parts = [part for part in log_parts(path) if part != path]
    if not parts:
        return
    surplus = max(0, sum(part.stat().st_size for part in parts) - cap)
    with path.open("ab") as joined:
        if dropped + surplus:
            joined.write(b"\n[slipway: %d bytes were dropped here]\n" % (dropped + surplus))
        for part in parts:
            with part.open("rb") as source:
                source.seek(min(surplus, part.stat().st_size))
                surplus -= source.tell()
                while piece := source.read(2**20):
                    joined.write(piece)
    for part in parts:
        part.unlink()
