"""Is there room on the disks for what is still to be made? Better said before half an hour's work than after it."""

from __future__ import annotations

import shutil
from collections import defaultdict
from typing import TYPE_CHECKING

from slipway.errors import Misconfigured
from tests.cluster.build import cache_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

__all__ = ["need_room"]

_GB = 10**9


def need_room(state: Path, programs: int, images: Collection[str]) -> None:
    """Raises Misconfigured where a disk has too little left.

    programs: how many are still to be built. images: which of slipway's.
    """
    for phase in _phases(state, programs, images):
        wanted: defaultdict[int, float] = defaultdict(float)
        for folder, size in phase.items():
            there = _existing(folder)
            wanted[there.stat().st_dev] += size
            free = shutil.disk_usage(there).free / _GB
            if free < (need := wanted[there.stat().st_dev]):
                raise Misconfigured(
                    f"the disk of {there} has {free:.0f} GB left, and making the cluster takes up to {need:.0f} GB "
                    "there: make room, or name folders elsewhere in SLIPWAY_CLUSTER_STATE and SLIPWAY_CLUSTER_CACHE"
                )


def _phases(state: Path, programs: int, images: Collection[str]) -> Iterator[dict[Path, float]]:
    """GB by folder at the height of each phase that is to come, as df saw them and some more."""
    kept = 0.0  # in the cache, of the phases before
    if programs:
        yield {cache_folder(): 4 + 1.4 * programs}  # most of it what compilers share
        kept = 2
    if "train" in images:
        yield {cache_folder(): kept + 8, state: 12}  # built, handed on and kept: three times 6 GB
        kept += 8
    if not (state / "containerd").exists():
        yield {cache_folder(): kept, state: 15}  # fetched and unpacked for pods


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.is_dir())
