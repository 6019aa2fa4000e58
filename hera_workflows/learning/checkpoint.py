"""Where a training was: written so that a kill leaves the last whole checkpoint, read without running code."""

from __future__ import annotations

import os
import pickle
import random
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from slipway.errors import Rejected

__all__ = ["check_readable", "load", "random_state", "restore_random_state", "save"]

NAME = "checkpoint.pt"
FORMAT = 2


def save(folder: Path, content: Mapping[str, Any], *, at: Callable[[str], None] = lambda _: None) -> None:
    """Replace the checkpoint in `folder` by `content` (tensors, numbers, text, lists, dicts) in one step.

    `check_readable` says beforehand whether `load` will read it.
    """
    partial, final = folder / f".{NAME}.partial", folder / NAME
    folder.mkdir(parents=True, exist_ok=True)
    with partial.open("wb") as file:
        torch.save({"format": FORMAT, **content}, file)
        at("checkpoint-written")
        file.flush()
        os.fsync(file.fileno())
    at("checkpoint-synced")
    partial.replace(final)
    at("checkpoint-renamed")
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load(folder: Path) -> dict[str, Any] | None:
    """The last checkpoint in `folder`, on the CPU; None without one.

    Raises Rejected for a truncated file, a pickle that wants to run code, and anything else that is not ours.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        # weights_only: torch's own unpickler builds tensors and plain values and refuses every other name.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise _unreadable(path, "it holds Python objects that could run code, which a checkpoint never does") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _unreadable(path, f"it is truncated or damaged ({type(error).__name__})") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _unreadable(path, "it was not written by this version of slipway")
    return content


def _unreadable(path: Path, why: str) -> Rejected:
    return Rejected(f"{path} cannot be resumed from: {why}; remove it to train from the first epoch")


def check_readable(content: Any, where: str) -> None:
    """Raise Rejected if `content` holds what `load` would refuse, before hours are spent on training towards it."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            check_readable(key, where)
            check_readable(value, where)
    elif isinstance(content, (list, tuple, set)):
        for value in content:
            check_readable(value, where)
    elif not isinstance(content, (torch.Tensor, int, float, str, bytes, torch.dtype, torch.device, type(None))):
        raise Rejected(
            f"{where}: its state holds {type(content).__name__}, which a checkpoint cannot; "
            "give tensors, numbers, text, lists and dicts"
        )


def random_state() -> dict[str, Any]:
    """The state of every generator that training may draw from, as values that `load` can read."""
    import numpy as np

    generator: Any = np.random.get_state(legacy=True)
    name, keys, position, has_gauss, cached = generator
    version, internal, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [str(name), torch.from_numpy(keys.astype("int64")), int(position), int(has_gauss), float(cached)],
        "python": [version, torch.tensor(internal), gauss],
    }


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Put every generator back to where `random_state` saw it."""
    import numpy as np

    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype("uint32"), position, has_gauss, cached))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal.tolist()), gauss))
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
