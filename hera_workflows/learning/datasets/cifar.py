"""What does CIFAR-10's own python archive hold, read without running the pickles in it?

Its batches are Python 2 pickles. Here a pickle may name three things — a NumPy array, its type, and text to bytes —
and each becomes a harmless value of this module; every other name is refused.
"""

from __future__ import annotations

import errno
import os
import pickle
import shutil
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hera_workflows.learning.datasets.fetch import Fetched
from slipway.errors import Rejected

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Cifar", "load_batch"]

_PIXELS = 3 * 32 * 32
_MAX_BATCH = 512 << 20  # bytes of one batch's file; CIFAR-10's have 31 MB
_VALIDATION = 10  # the last tenth of the training batches


class Cifar:
    """data_batch_1 to data_batch_5 and test_batch, at any depth of the archive."""

    def __init__(self, name: str, fetched: Fetched) -> None:
        self.path, self._where = fetched.path, f"data.{name}"
        # Beside the content, in the cache: uncompressed once, then mapped by every process that trains.
        self._arrays = fetched.path.parent / "arrays-1"

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the labels, from batches.meta."""
        meta = _load(self._file("batches.meta"), self._where)
        names = meta.get(b"label_names") if isinstance(meta, dict) else None
        if not isinstance(names, list) or not all(isinstance(name, bytes) for name in names):
            raise Rejected(f"{self._where}: batches.meta has no label_names; fetch CIFAR-10's python version")
        return tuple(name.decode("ascii", "replace") for name in names)

    def split(self, split: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """(images, labels) of "train", "validation" (the last tenth of the training batches) or "test".

        images: (n, 3, 32, 32) uint8, memory-mapped. Raises Rejected when a class of batches.meta has no image in it.
        """
        import numpy as np

        if not self._arrays.is_dir():
            self._unpickle()
        part = "test" if split == "test" else "train"
        labels = np.load(self._arrays / f"{part}-labels.npy", allow_pickle=False)
        images: NDArray[Any] = np.memmap(
            self._arrays / f"{part}-images.raw", np.uint8, "r", shape=(len(labels), 3, 32, 32)
        )
        if part == "train":
            cut = len(labels) - len(labels) // _VALIDATION
            chosen = slice(cut, None) if split == "validation" else slice(0, cut)
            images, labels = images[chosen], labels[chosen]
        seen = set(np.unique(labels).tolist())
        if missing := [name for number, name in enumerate(self.classes) if number not in seen]:
            raise Rejected(f"{self._where}: no image of {', '.join(missing)} in {split}; look at the archive")
        return images, labels

    def _unpickle(self) -> None:
        staging = self._arrays.with_name(f".{self._arrays.name}.{os.getpid()}")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        training = sorted(path.name for path in self._folder.glob("data_batch_*"))
        if not training:
            raise Rejected(f"{self._where}: there is no data_batch_1 beside batches.meta; fetch the whole archive")
        for part, names in (("train", training), ("test", ["test_batch"])):
            _write(staging / part, [self._file(name) for name in names], len(self.classes), self._where)
        try:
            staging.rename(self._arrays)
        except OSError as error:
            shutil.rmtree(staging)
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # else another process was first
                raise

    @cached_property
    def _folder(self) -> Path:
        found = sorted(self.path.rglob("batches.meta")) if self.path.is_dir() else []
        if len(found) != 1:
            raise Rejected(f"{self._where}: {len(found)} files batches.meta; give CIFAR-10's python archive")
        return found[0].parent

    def _file(self, name: str) -> Path:
        path = self._folder / name
        if not path.is_file():
            raise Rejected(f"{self._where}: there is no {name} beside batches.meta; fetch the whole archive")
        return path


def _write(prefix: Path, files: list[Path], classes: int, where: str) -> None:
    """`PREFIX-images.raw` and `PREFIX-labels.npy`; one batch is in memory at a time."""
    import numpy as np

    labels = []
    with prefix.with_name(f"{prefix.name}-images.raw").open("wb") as sink:
        for file in files:
            pixels, numbers = load_batch(file, where)
            if wrong := [number for number in numbers if not 0 <= number < classes]:
                raise Rejected(f"{where}: {file.name}: label {wrong[0]} of {classes} classes; fetch the archive again")
            sink.write(pixels)
            labels += numbers
    np.save(prefix.with_name(f"{prefix.name}-labels.npy"), np.asarray(labels, np.int64), allow_pickle=False)


def load_batch(path: Path, where: str) -> tuple[bytes, list[int]]:
    """(pixels, labels) of one batch: 3,072 bytes an image, red, green, blue, row by row; raises Rejected."""
    batch = _load(path, where)
    pixels = batch.get(b"data") if isinstance(batch, dict) else None
    labels = batch.get(b"labels") if isinstance(batch, dict) else None
    if not isinstance(pixels, _Array) or not isinstance(labels, list) or not all(type(n) is int for n in labels):
        raise Rejected(f"{where}: {path.name} has no data and labels; fetch CIFAR-10's python version")
    if len(pixels.content) != len(labels) * _PIXELS or not labels:
        raise Rejected(
            f"{where}: {path.name} has {len(labels)} labels and {len(pixels.content)} bytes of pixels, "
            f"not {_PIXELS} for each; fetch the archive again"
        )
    return pixels.content, labels


class _Array:
    """Stands for numpy.ndarray: keeps the bytes, builds nothing."""

    content = b""

    def __setstate__(self, state: Any) -> None:
        _, _, kind, fortran, content = state
        if fortran or not isinstance(content, bytes) or not isinstance(kind, _Type) or kind.name not in ("u1", b"u1"):
            raise pickle.UnpicklingError("an array of another type than bytes")
        self.content = content


class _Type:
    """Stands for numpy.dtype."""

    def __init__(self, name: Any = None, *_: Any) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        pass


def _array(*_: Any) -> _Array:
    return _Array()


def _to_bytes(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text in {encoding[:20]}")
    return text.encode("latin1")


_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _to_bytes,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module[:60]}.{name[:60]}, which could run code")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it asks for objects outside of it")


def _load(path: Path, where: str) -> Any:
    if path.stat().st_size > _MAX_BATCH:
        raise Rejected(f"{where}: {path.name} is larger than {_MAX_BATCH} bytes; give CIFAR-10's python archive")
    try:
        with path.open("rb") as file:
            return _Unpickler(file, encoding="bytes").load()
    except Exception as error:  # noqa: BLE001 - a pickle from outside can make the unpickler raise nearly anything
        raise Rejected(
            f"{where}: {path.name} is not a batch of CIFAR-10 ({str(error)[:120]}); fetch it again"
        ) from None
