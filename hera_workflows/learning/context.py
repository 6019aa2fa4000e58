"""What `train(ctx)` is given: parameters, device, epochs that survive a kill, batches, progress."""

from __future__ import annotations

import contextlib
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from hera_workflows.learning import checkpoint
from hera_workflows.learning.cpus import usable_cpus
from hera_workflows.learning.lazy import LazyArray
from hera_workflows.learning.progress import Progress
from hera_workflows.learning.warm_start import WarmStart
from slipway.errors import Rejected

__all__ = ["Context"]

# Saving may take this share of the time; where epochs are short, some are not saved.
SAVE_SHARE = 0.02
AHEAD = 2  # batches that are made before they are needed


class Context:
    """One training. `params` are train.params of model.yaml."""

    def __init__(
        self,
        *,
        params: Mapping[str, Any],
        seed: int,
        checkpoint_dir: Path,
        identity: str,
        device: torch.device | None = None,
        progress: Progress | None = None,
        save_share: float = SAVE_SHARE,
        sets: Mapping[str, Any] | None = None,
        warm: WarmStart | None = None,
        at: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.params = dict(params)
        self.seed = seed
        self.checkpoint_dir = checkpoint_dir
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.sets = dict(sets or {})  # the data sets of model.yaml, as data(split, sets) gets them
        self._warm = warm
        self.epoch = 0  # the epoch that runs now, from 0
        self.epochs_total = 0
        self._identity = identity  # commit, params and seed: a checkpoint of other ones is not resumed
        self._progress = progress or Progress()
        self._save_share = save_share
        self._part = 0.0
        self._calls = 0
        self._begun = False  # whether epochs() was asked already
        self._at = at
        checkpoint_dir.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(usable_cpus())
        # Everything that people's code may draw from starts at the seed, before model.py is called.
        random.seed(seed)
        torch.manual_seed(seed)
        import numpy as np

        np.random.seed(seed)

    @property
    def curve(self) -> list[list[float]]:
        """[epoch, mean loss] for every epoch so far, those before a kill included."""
        return self._progress.curve

    def autocast(self, enabled: bool = True) -> contextlib.AbstractContextManager[Any]:
        """Compute in bfloat16 where the GPU has it; on a CPU nothing changes, so that results stay bit for bit."""
        if enabled and self.device.type == "cuda" and torch.cuda.is_bf16_supported():
            return torch.autocast("cuda", dtype=torch.bfloat16)
        return contextlib.nullcontext()

    def epochs(self, count: int | None = None, **state: Any) -> Iterator[int]:
        """Yield the epochs that remain, from 0; `count` is params["epochs"] unless given.

        state: everything that changes while training and has state_dict() and load_state_dict(): model=…, optimizer=…,
        scheduler=…. It is put back from the last checkpoint first, and saved after epochs, the last one always. Modules
        begin with the champion's weights when model.yaml says `train: {from: champion}`.
        Raises Rejected if there is a checkpoint that cannot be read or belongs to another training, and when it is
        called a second time: a checkpoint says how far one loop came, and nothing of other loops.
        """
        if self._begun:
            raise Rejected(
                "ctx.epochs is called a second time; train in one loop, and change what is frozen inside it by the "
                "epoch number"
            )
        self._begun = True
        total = self._count(count)
        for name, part in state.items():
            if not (hasattr(part, "state_dict") and hasattr(part, "load_state_dict")):
                raise Rejected(f"ctx.epochs({name}=…): {type(part).__name__} has no state_dict(); pass what has one")
        self.epochs_total = total
        first = self._restore(state, total)
        if self._warm:
            for part in state.values():
                if isinstance(part, torch.nn.Module):
                    self._warm.put_into(part, copy=first == 0)
        self._progress.start(first)
        saved, cost = time.monotonic(), 0.0
        for name, part in state.items():
            checkpoint.check_readable(part.state_dict(), f"ctx.epochs({name}=…)")
        for epoch in range(first, total):
            self.epoch, self._part, self._calls = epoch, 0.0, 0
            yield epoch
            self._progress.end_epoch(epoch, total)
            now = time.monotonic()
            if epoch + 1 == total or now - saved >= cost / self._save_share:
                self._save(state, epoch + 1, total)
                saved = time.monotonic()
                cost = saved - now
            self._at(f"epoch-{epoch + 1}")

    def batches(self, inputs: Any, labels: Any, *, size: int = 32, shuffle: bool = True) -> Iterator[tuple[Any, Any]]:
        """Yield (inputs, labels) of `size` samples on the device; the order depends on the seed and the epoch alone.

        inputs: an array or a dict of arrays, first axis samples, as data() gives them. The last batch may be smaller.
        """
        if size < 1:
            raise Rejected(f"ctx.batches(size={size}); give a size of at least 1")
        many = isinstance(inputs, Mapping)
        columns = {
            name: value if isinstance(value, LazyArray) else _tensor(value)
            for name, value in (inputs.items() if many else [("", inputs)])
        }
        targets = _tensor(labels)
        n = len(targets)
        order = torch.randperm(n, generator=self._generator()) if shuffle else None
        self._calls += 1
        parts = [order[i : i + size] if order is not None else slice(i, min(i + size, n)) for i in range(0, n, size)]
        ahead = any(isinstance(column, LazyArray) for column in columns.values())
        done = 0
        for part, batch in zip(parts, _rows(columns, parts, ahead), strict=True):
            moved = {name: self._move(tensor) for name, tensor in batch.items()}
            labels_here = self._move(targets[part])
            done += len(labels_here)
            self._part = done / n
            yield (moved if many else moved[""]), labels_here

    def progress(self, **values: Any) -> None:
        """Note numbers of this batch, such as loss=…; shows their mean over the epoch and the time left."""
        self._progress.step(values, self.epoch, max(1, self.epochs_total), self._part)

    def _count(self, count: int | None) -> int:
        total = self.params.get("epochs") if count is None else count
        if not isinstance(total, int) or isinstance(total, bool) or total < 0:
            raise Rejected(f"epochs is {total!r}; set train.params.epochs in model.yaml or call ctx.epochs(10, …)")
        return total

    def _generator(self) -> torch.Generator:
        mixed = (self.seed * 1_000_003 + self.epoch) * 1_000_003 + self._calls
        return torch.Generator().manual_seed(mixed % 2**63)

    def _move(self, tensor: torch.Tensor) -> torch.Tensor:
        dtype = torch.float32 if tensor.dtype == torch.float64 else tensor.dtype
        if self.device.type == "cuda" and tensor.device.type == "cpu":
            return tensor.pin_memory().to(self.device, dtype, non_blocking=True)
        return tensor.to(self.device, dtype)

    def _save(self, state: Mapping[str, Any], done: int, total: int) -> None:
        content = {
            "identity": self._identity,
            "epoch": done,
            "epochs": total,
            "threads": torch.get_num_threads(),
            "state": {name: part.state_dict() for name, part in state.items()},
            "random": checkpoint.random_state(),
            "curve": self.curve,
        }
        checkpoint.save(self.checkpoint_dir, content, at=self._at)

    def _restore(self, state: Mapping[str, Any], total: int) -> int:
        content = checkpoint.load(self.checkpoint_dir)
        if content is None:
            return 0
        where = self.checkpoint_dir / checkpoint.NAME
        same = content.get("identity") == self._identity and set(content["state"]) == set(state)
        if not same or content["epoch"] > total:
            raise Rejected(
                f"{where} belongs to another training (commit, params or seed differ); remove it to start anew"
            )
        # Sums are split over threads, so another count of threads would give other last bits.
        torch.set_num_threads(content["threads"])
        for name, part in state.items():
            part.load_state_dict(content["state"][name])
        checkpoint.restore_random_state(content["random"])
        self._progress.curve[:] = [list(point) for point in content["curve"]]
        print(f"resuming after epoch {content['epoch']} of {total} from {where}", flush=True)
        return int(content["epoch"])


def _rows(columns: Mapping[str, Any], parts: Sequence[Any], ahead: bool) -> Iterator[dict[str, torch.Tensor]]:
    """The rows of each part; `ahead`: rows that must be made are made while the batch before is learned from."""

    def make(part: Any) -> dict[str, torch.Tensor]:
        places = part.numpy() if isinstance(part, torch.Tensor) else part
        return {
            name: _tensor(column[places]) if isinstance(column, LazyArray) else column[part]
            for name, column in columns.items()
        }

    if not ahead:
        yield from map(make, parts)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        waiting: deque[Future[dict[str, torch.Tensor]]] = deque()
        for part in parts:
            waiting.append(pool.submit(make, part))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _tensor(value: Any) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value
    import warnings

    with warnings.catch_warnings():
        # A read-only (memory-mapped) array: batches are copies, nothing is ever written into it.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.as_tensor(value)
