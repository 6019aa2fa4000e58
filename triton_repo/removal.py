"""How does a version leave the store without a reader seeing half of it?"""

from __future__ import annotations

from pathlib import Path

from slipway.names import check_model, check_number
from triton_repo.staging import staged, sweep
from triton_repo.store import ModelStore, store_errors

__all__ = ["remove_version", "sweep_store"]


def remove_version(store: ModelStore, model: str, number: int) -> None:
    """Remove one version; its number is never given out again. A version that is gone already is fine."""
    path = store.path(check_model(model), str(check_number(number)))
    with store_errors(f"{model}@{number} in {store.url}"):
        if not store.local:
            # Without its manifest it is no version any more, whatever is left when this is killed.
            for each in (f"{path}/manifest.json", path):
                if store.fs.exists(each):
                    store.fs.rm(each, recursive=True)
        elif Path(path).exists():
            with staged(Path(store.path(".staging")), f"removed-{model}-{number}") as folder:
                Path(path).rename(folder / "version")


def sweep_store(store: ModelStore) -> list[str]:
    """Remove what killed publishers and removals left in staging; returns the names that were removed."""
    with store_errors(store.url):
        return sweep(Path(store.path(".staging"))) if store.local else []
