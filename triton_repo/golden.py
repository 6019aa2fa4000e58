"""Which requests does a version have to answer, and how?"""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import Rejected

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Golden", "load_golden"]

# Bytes after decompression: a training writes 64 MiB of requests at most, and their answers may be as large. The
# promoter, which has 512 MiB for all it does, holds the file and its arrays.
_LIMIT = 128 << 20


@dataclass(frozen=True, slots=True)
class Golden:
    """Requests and PyTorch's answers to them; the first axis of every array counts requests."""

    inputs: dict[str, NDArray[Any]]  # by tensor name, (requests, *dims)
    outputs: dict[str, NDArray[Any]]

    def __post_init__(self) -> None:
        counts = {len(array) if array.ndim else 0 for array in (*self.inputs.values(), *self.outputs.values())}
        if not self.inputs or not self.outputs or len(counts) != 1 or 0 in counts:
            raise Rejected("golden requests need inputs and outputs, all with the same number of requests, at least 1")
        if any(array.dtype.hasobject for array in (*self.inputs.values(), *self.outputs.values())):
            raise Rejected("golden requests hold Python objects; use numbers, or strings as a fixed-width array")

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def save(self, path: Path) -> None:
        """Write an .npz without pickles; the same arrays always give the same bytes."""
        import numpy as np

        arrays = {f"inputs/{name}": array for name, array in self.inputs.items()}
        arrays |= {f"outputs/{name}": array for name, array in self.outputs.items()}
        partial = path.with_name(f".{path.name}.partial")
        with partial.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)


def load_golden(source: Path | bytes) -> Golden:
    """Read what `save` wrote; raises Rejected for anything else, pickles and zip bombs included."""
    import numpy as np

    where = "golden.npz" if isinstance(source, bytes) else str(source)
    inputs: dict[str, NDArray[Any]] = {}
    outputs: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _LIMIT:
                raise Rejected(
                    f"{where} unpacks to more than {_LIMIT >> 20} MiB, twice the 64 MiB of requests that a training "
                    "keeps; keep fewer golden requests"
                )
        with np.load(io.BytesIO(source) if isinstance(source, bytes) else source, allow_pickle=False) as arrays:
            for key in arrays.files:
                kind, _, name = key.partition("/")
                {"inputs": inputs, "outputs": outputs}[kind][name] = np.asanyarray(arrays[key])
    except Rejected:
        raise
    # The bytes are hostile, and zipfile and NumPy have a dozen kinds of errors for them: zlib's, RuntimeError for what
    # is encrypted, MemoryError for a shape, TokenError for a header.
    except Exception as error:  # noqa: BLE001
        raise Rejected(f"{where} is not a file of golden requests ({error}); validate the model again") from None
    return Golden(inputs, outputs)
