"""Which pictures does a folder hold, by split, class and source?

`SPLIT/CLASS/…/NAME`, or `CLASS/…/NAME` where nobody has split them: then each picture's path decides, 8 : 1 : 1. The
folder right below the class, if there is one, is the picture's source.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hera_workflows.learning.datasets.fetch import Fetched
from hera_workflows.learning.datasets.pictures import Pictures
from hera_workflows.learning.decode import MAX_BYTES
from slipway.errors import Rejected

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ImageFolder"]

_SPLITS = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "test": "test"}
_MAX_SIZE = 4096  # 50 MB a picture; above it a slip of the keyboard asks for more memory than there is
_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


class ImageFolder:
    """Pictures by split and class."""

    def __init__(self, name: str, fetched: Fetched) -> None:
        self.path, self._where, self._digest = fetched.path, f"data.{name}", fetched.digest
        self._skip = frozenset(fetched.skip)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the class folders, sorted; a label is a place in them."""
        return self._files[0]

    def split(self, split: str, *, size: int = 224) -> tuple[Pictures, NDArray[np.int64], NDArray[np.str_]]:
        """(pictures, labels, sources) of "train", "validation" or "test"; pictures: (n, size, size, 3) uint8.

        size: 1 to 4,096 pixels. Raises Rejected for another one, and when a class has no picture in this split.
        """
        import numpy as np

        if not 1 <= size <= _MAX_SIZE:
            raise Rejected(f"{self._where}: size={size}; give the pixels of a side, 1 to {_MAX_SIZE}")
        classes, found = self._files
        chosen = [(path, label, source) for part, path, label, source in found if part == split]
        counts = Counter(label for _, label, _ in chosen)
        if missing := [name for number, name in enumerate(classes) if not counts[number]]:
            raise Rejected(
                f"{self._where}: no picture of {', '.join(missing)} in {split}; add some, or correct the split"
            )
        pictures = Pictures(str(self.path), [path for path, _, _ in chosen], size, self._where, self._digest)
        labels = np.asarray([label for _, label, _ in chosen], dtype=np.int64)
        return pictures, labels, np.asarray([source for _, _, source in chosen], dtype=str)

    @cached_property
    def _files(self) -> tuple[tuple[str, ...], list[tuple[str, str, int, str]]]:
        """The classes, and (split, path, label, source) of every picture, in order of path."""
        if self.path.is_file():
            raise Rejected(f"{self._where} is one file; give the url of a folder or of an archive of one")
        below = _descend(self.path)
        found, skipped = [], set()
        # Plain strings: a Path for each of a million pictures takes longer than everything else here.
        for folder, _, names in os.walk(below):
            parts = Path(folder).relative_to(below).parts
            inside = Path(folder).relative_to(self.path).as_posix()
            for name in names:
                path = name if inside == "." else f"{inside}/{name}"
                if path in self._skip:
                    skipped.add(path)
                elif name.lower().endswith(_ENDINGS) and not name.startswith("."):
                    found.append((path, (*parts, name)))
        if unknown := self._skip - skipped:
            raise Rejected(f"{self._where}: skip names {min(unknown)!r}, which is not there; correct model.yaml")
        has_splits = any(parts[0].lower() in _SPLITS for _, parts in found if len(parts) > 2)
        rows = []
        for path, parts in sorted(found):
            if has_splits:
                split, parts = _SPLITS.get(parts[0].lower(), ""), parts[1:]
            else:
                split = _drawn("/".join(parts))
            if split and len(parts) > 1:
                rows.append(_Row(split, path, parts[0], parts[1] if len(parts) > 2 else "all"))
        classes = tuple(sorted({row.label for row in rows}))
        if len(classes) < 2:
            raise Rejected(
                f"{self._where}: {len(classes)} class folders with pictures; lay them out as train/cat/1.jpg"
            )
        rows = _without_leaks(self.path, rows, self._where, drawn=not has_splits)
        number = {name: index for index, name in enumerate(classes)}
        return classes, sorted((split, path, number[label], source) for split, path, label, source in rows)


class _Row(NamedTuple):
    """One picture; path is relative to the folder of the set."""

    split: str
    path: str
    label: str
    source: str


def _without_leaks(root: Path, rows: list[_Row], where: str, *, drawn: bool) -> list[_Row]:
    """The rows with one split for one picture; raises Rejected when one lies under two labels or in two splits.

    drawn: nobody has split them, so a picture that is there twice goes where its first copy goes.
    """
    remedy = "correct one, or list it under `skip:` in model.yaml"
    twins = _twins(root, rows)
    kept = []
    for row in rows:
        first = twins.get(row.path, row)
        if first.label != row.label:
            raise Rejected(f"{where}: {row.path} is the same picture as {first.path} under another label; {remedy}")
        if first.split != row.split and not drawn:
            raise Rejected(
                f"{where}: {row.path} is the same picture as {first.path}, so {row.split} would test what "
                f"{first.split} has shown; {remedy}"
            )
        kept.append(row._replace(split=first.split))
    return kept


def _twins(root: Path, rows: list[_Row]) -> dict[str, _Row]:
    """The first row with the same bytes, by path; only files of one length are read."""
    sizes: dict[int, list[_Row]] = {}
    for row in rows:
        size = os.stat(f"{root}/{row.path}").st_size  # noqa: PTH116 - a Path for each takes longer than the stat
        sizes.setdefault(size, []).append(row)
    seen: dict[bytes, _Row] = {}
    return {
        row.path: seen.setdefault(_content(f"{root}/{row.path}"), row)
        for size, same in sizes.items()
        # Larger ones are refused when they are decoded.
        if size <= MAX_BYTES and len({(row.split, row.label) for row in same}) > 1
        for row in same
    }


def _content(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return hashlib.sha256(file.read()).digest()


def _descend(folder: Path) -> Path:
    """Archives often hold one folder with everything in it; files beside it, such as a licence, do not matter."""
    while True:
        folders = [child for child in folder.iterdir() if child.is_dir() and not child.name.startswith((".", "__"))]
        if len(folders) != 1 or folders[0].name.lower() in _SPLITS or not any(c.is_dir() for c in folders[0].iterdir()):
            return folder
        folder = folders[0]


def _drawn(path: str) -> str:
    """The split that a picture's path decides, the same for ever."""
    draw = int(hashlib.sha256(os.fsencode(path)).hexdigest()[:8], 16) % 10
    return "test" if draw == 0 else "validation" if draw == 1 else "train"
