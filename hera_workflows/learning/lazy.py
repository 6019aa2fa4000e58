"""What may stand for an array that is too large to be in memory: one that makes the rows that it is asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LazyArray"]


class LazyArray(ABC):
    """Rows of one shape and type, made when they are asked for by a slice or an array of places.

    `data()` may give one in place of an input array: batches, the stored test split and the golden requests take
    from it what they need, in order of use, some rows at a time.
    """

    shape: tuple[int, ...]  # (rows, …)
    dtype: np.dtype[Any]
    fingerprint: str  # text that changes whenever a row would

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """The number of axes, rows included."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """What the whole would take in memory."""
        import math

        return math.prod(self.shape) * int(self.dtype.itemsize)

    def __getitem__(self, rows: slice | Sequence[int] | NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        if isinstance(rows, slice):
            return self.take(np.arange(*rows.indices(len(self))))
        return self.take(np.asarray(rows, dtype=np.int64))

    @abstractmethod
    def take(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """(len(places), …) the rows at these places; raises Rejected when one cannot be made."""
