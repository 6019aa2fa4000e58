"""How does a version leave the store without a reader seeing half of it?"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from slipway.names import check_model, check_number
from triton_repo import objects
from triton_repo.staging import staged, sweep
from triton_repo.store import ModelStore
from triton_repo.store_errors import store_errors

__all__ = ["remove_version", "sweep_store"]


def remove_version(store: ModelStore, model: str, number: int) -> None:
    """Remove one version; its number is never given out again. A version that is gone already is fine."""
    path = store.path(check_model(model), str(check_number(number)))
    with store_errors(f"{model}@{number} in {store.url}"):
        if not store.local:
            objects.remove(store, model, number)
        elif Path(path).exists():
            with staged(Path(store.path(".staging")), f"removed-{model}-{number}") as folder:
                Path(path).rename(folder / "version")


def sweep_store(store: ModelStore, now: datetime) -> list[str]:
    """Remove what killed publishers and removals left behind; returns the names that were removed.

    now: aware. A folder's locks say who is alive; in a bucket, what nobody wrote to for `objects.STALE` is dead.
    """
    with store_errors(store.url):
        return sweep(Path(store.path(".staging"))) if store.local else objects.sweep(store, now)
