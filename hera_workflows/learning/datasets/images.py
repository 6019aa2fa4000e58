"""Which pictures does a folder hold, by split, class and source, and how do they become arrays fast?

`SPLIT/CLASS/…/NAME`, or `CLASS/…/NAME` where nobody has split them: then each picture's path decides, 8 : 1 : 1. The
folder right below the class, if there is one, is the picture's source.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hera_workflows.learning.datasets.fetch import Fetched
from hera_workflows.learning.lazy import LazyArray
from slipway.errors import Rejected

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ImageFolder", "Pictures"]

MAX_PIXELS = 80_000_000  # of one picture as it lies in the file
_SPLITS = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "test": "test"}
_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_WHAT = {"UnidentifiedImageError": "is not a picture", "DecompressionBombError": "has too many pixels"}
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


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

        Raises Rejected when a class has no picture in this split.
        """
        import numpy as np

        classes, found = self._files
        chosen = [(path, label, source) for part, path, label, source in found if part == split]
        counts = Counter(label for _, label, _ in chosen)
        if missing := [name for number, name in enumerate(classes) if not counts[number]]:
            raise Rejected(
                f"{self._where}: no picture of {', '.join(missing)} in {split}; add some, or correct the split"
            )
        root = self.path
        pictures = Pictures([root / path for path, _, _ in chosen], size, self._where, root, self._digest)
        labels = np.asarray([label for _, label, _ in chosen], dtype=np.int64)
        return pictures, labels, np.asarray([source for _, _, source in chosen], dtype=str)

    @cached_property
    def _files(self) -> tuple[tuple[str, ...], list[tuple[str, str, int, str]]]:
        """The classes, and (split, path, label, source) of every picture, in order of path."""
        if self.path.is_file():
            raise Rejected(f"{self._where} is one file; give the url of a folder or of an archive of one")
        below = _descend(self.path)
        prefix = below.relative_to(self.path).parts
        found, skipped = [], set()
        for folder, _, names in os.walk(below):
            for name in names:
                path = Path(folder, name).relative_to(self.path)
                if path.as_posix() in self._skip:
                    skipped.add(path.as_posix())
                elif name.lower().endswith(_ENDINGS) and not name.startswith("."):
                    found.append(path)
        if unknown := self._skip - skipped:
            raise Rejected(f"{self._where}: skip names {min(unknown)!r}, which is not there; correct model.yaml")
        parted = [path.parts[len(prefix) :] for path in found]
        has_splits = any(parts[0].lower() in _SPLITS for parts in parted if len(parts) > 2)
        rows = []
        for path, parts in zip(found, parted, strict=True):
            if has_splits:
                split, parts = _SPLITS.get(parts[0].lower(), ""), parts[1:]
            else:
                split = _drawn("/".join(parts))
            if split and len(parts) > 1:
                rows.append((split, path.as_posix(), parts[0], parts[1] if len(parts) > 2 else "all"))
        classes = tuple(sorted({label for _, _, label, _ in rows}))
        if len(classes) < 2:
            raise Rejected(
                f"{self._where}: {len(classes)} class folders with pictures; lay them out as train/cat/1.jpg"
            )
        _no_contradiction(self.path, rows, self._where)
        number = {name: index for index, name in enumerate(classes)}
        return classes, sorted((split, path, number[label], source) for split, path, label, source in rows)


class Pictures(LazyArray):
    """(n, size, size, 3) uint8: each picture scaled until its shorter side fits, and cut to its middle.

    Rows are decoded by as many threads as there are CPUs, since Pillow decodes outside Python's lock.
    """

    def __init__(self, files: list[Path], size: int, where: str, root: Path, digest: str) -> None:
        import numpy as np

        self.files, self.size, self._where, self._root = files, size, where, root
        self.shape, self.dtype = (len(files), size, size, 3), np.dtype(np.uint8)
        listed = hashlib.sha256("\0".join(str(file.relative_to(root)) for file in files).encode()).hexdigest()
        self.fingerprint = f"{digest} {listed} {size} middle"
        self._threads = max(1, len(os.sched_getaffinity(0)))

    def take(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The pictures at these places; raises Rejected, naming the file, for one that cannot be decoded."""
        import numpy as np

        result = np.empty((len(places), *self.shape[1:]), np.uint8)

        def some(first: int) -> None:
            for row in range(first, len(places), self._threads):
                result[row] = self._decode(self.files[places[row]])

        if len(places) < 4 or self._threads == 1:
            self._threads_one(some, len(places))
        else:
            list(self._pool.map(some, range(self._threads)))
        return result

    def _threads_one(self, some: Any, count: int) -> None:
        for first in range(min(self._threads, count)):
            some(first)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._threads, thread_name_prefix="pictures")

    def _decode(self, file: Path) -> NDArray[np.uint8]:
        import numpy as np
        from PIL import Image

        name = f"{self._where}: {file.relative_to(self._root).as_posix()}"
        try:
            with Image.open(file, formats=_FORMATS) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise Rejected(f"{name}: {picture.width} × {picture.height} pixels is too large; scale it down")
                return np.asarray(_middle(picture, self.size))
        except Rejected:
            raise
        except Exception as error:  # noqa: BLE001 - decoders of many formats raise whatever they like
            what = _WHAT.get(type(error).__name__, f"is damaged ({str(error)[:120]})")
            raise Rejected(f"{name}: {what}; replace it, or list it under `skip:` in model.yaml") from None


def _middle(picture: Any, size: int) -> Any:
    from PIL import Image

    short = min(picture.width, picture.height)
    # A JPEG is decoded straight to about the size that is needed, a fraction of the work.
    picture.draft("RGB", (picture.width * size // short, picture.height * size // short))
    short = min(picture.width, picture.height)
    left, top = (picture.width - short) // 2, (picture.height - short) // 2
    picture = picture if picture.mode == "RGB" else picture.convert("RGB")
    if short == size and (picture.width, picture.height) == (size, size):
        return picture
    return picture.resize(
        (size, size), Image.Resampling.BILINEAR, box=(left, top, left + short, top + short), reducing_gap=2.0
    )


def _no_contradiction(root: Path, rows: list[tuple[str, str, str, str]], where: str) -> None:
    """Raise Rejected when one picture lies under two labels; only files of one length are compared."""
    sizes: dict[int, list[tuple[str, str]]] = {}
    for _, path, label, _ in rows:
        sizes.setdefault((root / path).stat().st_size, []).append((path, label))
    seen: dict[bytes, tuple[str, str]] = {}
    for same in sizes.values():
        for path, label in same if len({label for _, label in same}) > 1 else ():
            digest = hashlib.sha256((root / path).read_bytes()).digest()
            first, known = seen.setdefault(digest, (path, label))
            if known != label:
                raise Rejected(
                    f"{where}: {path} is the same picture as {first} under another label; "
                    "correct one, or list it under `skip:` in model.yaml"
                )


def _descend(folder: Path) -> Path:
    """Archives often hold one folder with everything in it; files beside it, such as a licence, do not matter."""
    while True:
        folders = [child for child in folder.iterdir() if child.is_dir() and not child.name.startswith((".", "__"))]
        if len(folders) != 1 or folders[0].name.lower() in _SPLITS or not any(c.is_dir() for c in folders[0].iterdir()):
            return folder
        folder = folders[0]


def _drawn(path: str) -> str:
    """The split that a picture's path decides, the same for ever."""
    draw = int(hashlib.sha256(path.encode()).hexdigest()[:8], 16) % 10
    return "test" if draw == 0 else "validation" if draw == 1 else "train"
