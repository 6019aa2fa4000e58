"""How far a training is, what the loss is, and when it will be done; a bar on a terminal, lines in a log."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from slipway.errors import Rejected

__all__ = ["Progress"]

LINE_SECONDS = 3.0  # between two lines in a log
BAR_SECONDS = 0.1  # between two repaints of the bar
_WIDTH = 28


class Progress:
    """Means of what `ctx.progress` was given, epoch by epoch."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream or sys.stdout
        self.clock = clock
        self.terminal = self.stream.isatty()
        self.curve: list[list[float]] = []  # [epoch from 1, mean loss of that epoch]
        self._begin, self._shown = clock(), -math.inf
        self._first = 0  # the epoch at which this process began
        self._sums: dict[str, Any] = {}
        self._steps = 0

    def start(self, first: int) -> None:
        """Training goes on at epoch `first`, from 0."""
        self._first, self._begin = first, self.clock()

    def step(self, values: dict[str, Any], epoch: int, epochs: int, part: float) -> None:
        """Note values of one batch; `part` of the epoch is done, in [0, 1]."""
        for name, value in values.items():
            # Tensors are summed where they live: reading one would make the GPU wait at every batch.
            value = value.detach() if hasattr(value, "detach") else float(value)
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._steps += 1
        now = self.clock()
        if now - self._shown >= (BAR_SECONDS if self.terminal else LINE_SECONDS):
            self._shown = now
            self._show(epoch, epochs, part)

    def end_epoch(self, epoch: int, epochs: int) -> None:
        """Close an epoch; raises Rejected when its loss is not a number."""
        means = self._means()
        loss = means.get("loss", next(iter(means.values()), None))
        if loss is not None:
            if not math.isfinite(loss):
                raise Rejected(f"the loss of epoch {epoch + 1} is {loss}; lower the learning rate or check the inputs")
            self.curve.append([epoch + 1, loss])
        if epoch + 1 == epochs:
            self._show(epoch, epochs, 1.0)
            if self.terminal:
                print(file=self.stream, flush=True)
        self._sums, self._steps = {}, 0

    def _means(self) -> dict[str, float]:
        return {name: float(total) / self._steps for name, total in self._sums.items()}

    def _show(self, epoch: int, epochs: int, part: float) -> None:
        done = (epoch - self._first + part) / max(1, epochs - self._first)
        elapsed = self.clock() - self._begin
        left = f", {_seconds(elapsed / done - elapsed)} left" if 0 < done < 1 else f", {_seconds(elapsed)}"
        values = "  ".join(f"{name} {value:.4f}" for name, value in self._means().items())
        text = f"epoch {epoch + 1}/{epochs}  {values}{left}"
        if self.terminal:
            filled = round(_WIDTH * min(1.0, (epoch + part) / max(1, epochs)))
            text = f"\r{'█' * filled}{'░' * (_WIDTH - filled)} {text}\033[K"
        print(text, end="" if self.terminal else "\n", file=self.stream, flush=True)


def _seconds(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )
