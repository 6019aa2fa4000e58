"""What `data(split)` gave, checked; and the test split as files that need no pickle to read."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hera_workflows.learning.lazy import LazyArray
from slipway.errors import Rejected

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hera_workflows.learning.tasks import Task

__all__ = ["INPUT", "SPLITS", "Split", "digest", "problems", "read_split", "split_of", "write_split"]

SPLITS = ("train", "validation", "test")
INPUT = "input"  # the tensor's name when data() gives one array instead of a dict
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)
_CHUNK = 1 << 24  # bytes scanned or hashed at a time


@dataclass(frozen=True, slots=True)
class Split:
    """One split; the first axis of every array counts samples."""

    inputs: dict[str, NDArray[Any]]
    labels: NDArray[Any]
    slices: dict[str, NDArray[Any]]  # column → (n,) text
    keywords: bool  # data() gave a dict, so the module takes keyword arguments

    def __len__(self) -> int:
        return len(self.labels)


def split_of(given: Any, split: str) -> Split:
    """The value of `data(split)` as arrays; raises Rejected with every reason why it is not data."""
    import numpy as np

    where = f'data("{split}")'
    if not isinstance(given, tuple) or len(given) not in (2, 3):
        raise Rejected(f"{where} returned {_kind(given)}; return (inputs, labels) or (inputs, labels, slices)")
    keywords = isinstance(given[0], Mapping)
    inputs = dict(given[0]) if keywords else {INPUT: given[0]}
    slices = given[2] if len(given) == 3 and given[2] is not None else {}
    if not isinstance(slices, Mapping):
        raise Rejected(f"{where}: slices are {_kind(slices)}; give a dict of column name → one value a sample")
    for name in inputs:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise Rejected(f"{where}: input name {str(name)[:60]!r} is not an identifier; rename it")
    for name in slices:
        if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= 100:
            raise Rejected(f"{where}: slice column {str(name)[:60]!r} is not 1 to 100 printable characters; rename it")
    arrays = {name: _array(value, f"{where}: input {name}") for name, value in inputs.items()}
    columns = {name: np.asarray(_array(value, f"{where}: slice {name}")) for name, value in slices.items()}
    for name, column in columns.items():
        if column.ndim != 1:
            raise Rejected(f"{where}: slice {name} has shape {column.shape}; give one value a sample")
    return Split(
        inputs={name: _narrow(array) for name, array in arrays.items()},
        labels=_array(given[1], f"{where}: labels"),
        slices={name: column.astype(str) for name, column in columns.items()},
        keywords=keywords,
    )


def _kind(value: Any) -> str:
    return f"a tuple of {len(value)}" if isinstance(value, tuple) else type(value).__name__


def _array(value: Any, where: str) -> NDArray[Any]:
    import numpy as np

    if isinstance(value, LazyArray):
        return cast("NDArray[Any]", value)
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        array = np.asanyarray(value)
    except ValueError as error:
        raise Rejected(f"{where}: {error}; give arrays whose rows have one length") from None
    if array.dtype == object:
        raise Rejected(f"{where} holds Python objects; give an array of numbers (or of text, for slices)")
    if array.ndim == 0:
        raise Rejected(f"{where} is a single value; give an array whose first axis is samples")
    checked: NDArray[Any] = array
    return checked


def _narrow(array: NDArray[Any]) -> NDArray[Any]:
    # NumPy's default of 64 bits is hardly ever meant for inputs: modules are float32 and so is what is served.
    import numpy as np

    return array.astype(np.float32) if array.dtype == np.float64 else array


def problems(data: Split, split: str, task: Task, classes: Sequence[str] | None) -> list[str]:
    """What is wrong with a split, one sentence each; empty when a model can learn or be judged on it."""
    import numpy as np

    from hera_workflows.learning.text import is_text, text_problems

    where = f'data("{split}")'
    if not data.inputs:
        return [f"{where} has no inputs; give an array or a dict of arrays"]
    if len(data) == 0:
        return [f"{where} is empty; give at least one sample"]
    found = []
    for kind, columns in (("input", data.inputs), ("slice", data.slices)):
        for name, array in columns.items():
            if len(array) != len(data):
                found.append(
                    f"{where}: {kind} {name} has {len(array)} samples and labels have {len(data)}; make them agree"
                )
    for name, array in data.inputs.items():
        if is_text(array):
            found += [f"{where}: {text}" for text in text_problems(data.inputs, data.labels)]
        elif not (np.issubdtype(array.dtype, np.number) or array.dtype == bool) or array.dtype.kind == "c":
            found.append(f"{where}: input {name} is {array.dtype}; give numbers, or text as str")
        elif array.ndim < 2:
            found.append(f"{where}: input {name} has shape {array.shape}; give (samples, features)")
        elif (bad := _not_finite(array)) is not None:
            found.append(f"{where}: input {name} has NaN or infinity in sample {bad}; drop or fill such values")
    if data.labels.dtype.kind == "f" and (bad := _not_finite(data.labels)) is not None:
        found.append(f"{where}: the label of sample {bad} is NaN or infinite; drop such samples")
    else:
        found += [f"{where}: {text}" for text in task.check_labels(data.labels, classes)]
    return found


def _chunks(array: NDArray[Any]) -> Iterable[tuple[int, NDArray[Any]]]:
    rows = max(1, _CHUNK // max(1, array.nbytes // max(1, len(array))))
    for start in range(0, len(array), rows):
        yield start, array[start : start + rows]


def _not_finite(array: NDArray[Any]) -> int | None:
    import numpy as np

    if array.dtype.kind != "f":
        return None
    for start, chunk in _chunks(array):
        good = np.isfinite(chunk).reshape(len(chunk), -1).all(axis=1)
        if not good.all():
            return start + int(np.argmin(good))
    return None


def digest(splits: Mapping[str, Split]) -> str:
    """`sha256:…` over the name, type, shape and bytes of every array of every split, in a fixed order."""
    import numpy as np

    total = hashlib.sha256()
    for split in sorted(splits):
        data = splits[split]
        named = {f"input/{k}": v for k, v in data.inputs.items()} | {f"slice/{k}": v for k, v in data.slices.items()}
        for name, array in sorted((named | {"labels": data.labels}).items()):
            total.update(f"{split}/{name} {array.dtype.str} {array.shape}\n".encode())
            if isinstance(array, LazyArray):
                # Its rows follow from files that were hashed when they were fetched; none is made for this.
                total.update(array.fingerprint.encode())
                continue
            for _, chunk in _chunks(array):
                total.update(np.ascontiguousarray(chunk).data)
    return f"sha256:{total.hexdigest()}"


def write_split(data: Split, folder: Path) -> None:
    """Write `inputs-<name>.npy`, `labels.npy` and `slices.npz` into a new folder; no pickle in any of them."""
    import numpy as np

    folder.mkdir(parents=True)
    for name, array in data.inputs.items():
        _write_rows(array, folder / f"inputs-{name}.npy")
    np.save(folder / "labels.npy", np.ascontiguousarray(data.labels), allow_pickle=False)
    columns = list(data.slices)
    arrays = {f"column-{index}": data.slices[name] for index, name in enumerate(columns)}
    np.savez_compressed(folder / "slices.npz", columns=np.asarray(columns, dtype=str), **arrays)


def _write_rows(array: NDArray[Any], path: Path) -> None:
    import numpy as np

    if not isinstance(array, LazyArray):
        np.save(path, np.ascontiguousarray(array), allow_pickle=False)
        return
    with path.open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
        np.lib.format.write_array_header_2_0(file, header)
        for _, chunk in _chunks(array):
            file.write(np.ascontiguousarray(chunk).data)


def read_split(folder: Path) -> Split:
    """Read what `write_split` wrote, inputs memory-mapped; raises Rejected for anything else."""
    import numpy as np

    try:
        inputs: dict[str, NDArray[Any]] = {
            path.stem.removeprefix("inputs-"): _mapped(path) for path in sorted(folder.glob("inputs-*.npy"))
        }
        labels = np.array(_mapped(folder / "labels.npy"))
        with np.load(folder / "slices.npz", allow_pickle=False) as stored:
            slices = {str(name): stored[f"column-{index}"] for index, name in enumerate(stored["columns"])}
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise Rejected(f"{folder}: the test split cannot be read ({error}); train again") from None
    return Split(inputs, labels, slices, keywords=False)


def _mapped(path: Path) -> NDArray[Any]:
    import numpy as np

    # Not np.load, which would also take an archive of arrays.
    array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")  # type: ignore[no-untyped-call]
    return array
