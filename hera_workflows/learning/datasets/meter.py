"""How far is a transfer, how fast does it go, and when will it be done?"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

__all__ = ["Meter"]

LINE_SECONDS = 3.0


class Meter:
    """Counts bytes and prints a line now and then; on a terminal the line is rewritten."""

    def __init__(
        self,
        what: str,
        total: int | None,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what, self.total, self.done = what, total, 0
        self._first, self._begin = 0, clock()
        self._shown = self._begin
        self._stream, self._clock = stream or sys.stdout, clock

    def add(self, count: int) -> None:
        """Note `count` more bytes."""
        self.done += count
        now = self._clock()
        if now - self._shown >= (0.2 if self._stream.isatty() else LINE_SECONDS):
            self._shown = now
            self._print(now)

    def skip(self, count: int) -> None:
        """Note `count` bytes that were there from before; they do not count as speed."""
        self.done += count
        self._first += count

    def end(self) -> None:
        """Print the last line, where there was one before."""
        if self._shown != self._begin:
            self._print(self._clock())
            if self._stream.isatty():
                print(file=self._stream)

    def _print(self, now: float) -> None:
        rate = (self.done - self._first) / max(now - self._begin, 1e-9)
        text = f"{self.what}: {_size(self.done)}"
        if self.total is not None:
            text += f" of {_size(self.total)}"
        text += f", {_size(rate)}/s"
        if self.total is not None and rate > 0 and self.done < self.total:
            text += f", {(self.total - self.done) / rate:.0f} s left"
        if self._stream.isatty():
            print(f"\r{text}\033[K", end="", file=self._stream, flush=True)
        else:
            print(text, file=self._stream, flush=True)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
