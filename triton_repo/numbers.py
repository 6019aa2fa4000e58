"""Which number does a new version get?

`.numbers/<model>/<number>` holds the operation that owns the number. It is created whole and exclusively, and never
removed, so a number is never shared, never reused, and one operation always finds its own again.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from slipway.errors import TryAgain
from slipway.names import NUMBER, check_model
from triton_repo.store import ModelStore
from triton_repo.store_errors import store_errors

__all__ = ["claim_number", "create_exclusively"]


def create_exclusively(store: ModelStore, path: str, content: bytes) -> bool:
    """Write a small file whole, or return False because it is there already."""
    try:
        if not store.local:
            # A bucket's driver makes this a conditional write, which of two writers refuses one.
            store.fs.pipe_file(path, content, mode="create")
            return True
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        # A link to a finished file: exclusive, and never seen empty by anybody, kill -9 included.
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", suffix=".new") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.link(file.name, target)
    except FileExistsError:
        return False
    return True


def claim_number(store: ModelStore, model: str, operation_id: str) -> int:
    """The number that belongs to this operation; the same operation gets the same number every time."""
    check_model(model)
    with store_errors(store.url):
        for _ in range(1000):
            claimed = sorted(int(name) for name in store.names(".numbers", model) if re.fullmatch(NUMBER, name))
            paths = [store.path(".numbers", model, str(number)) for number in claimed]
            owners = store.fs.cat(paths) if paths else {}  # a bucket is asked for many at once
            # The lowest wins, should one operation ever have claimed two.
            for number, path in zip(claimed, paths, strict=True):
                if owners[path] == operation_id.encode():
                    return number
            number = max([0, *claimed, *store.versions(model)]) + 1
            # Whether or not somebody else was faster: look again, the file says who owns the number.
            create_exclusively(store, store.path(".numbers", model, str(number)), operation_id.encode())
    raise TryAgain(f"{store.url}: too many publishers of {model} at once; run this again")
