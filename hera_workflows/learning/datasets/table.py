"""What does a CSV hold, column by column, and which line of it is wrong?"""

from __future__ import annotations

import array
import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hera_workflows.learning.datasets.fetch import Fetched
from slipway.errors import Rejected

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Table"]

MAX_CELL = 100_000  # characters


class Table:
    """A CSV with a header line; a column whose first value is a number must hold numbers throughout."""

    def __init__(self, name: str, fetched: Fetched) -> None:
        self.path, self._where = fetched.path, f"data.{name}"
        self._columns: dict[str, Any] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names in the header, in its order."""
        return tuple(self._read())

    def __len__(self) -> int:
        return len(next(iter(self._read().values())))

    def __getitem__(self, column: str) -> NDArray[Any]:
        """(rows,) float64, or text where the first value is no number; raises Rejected when there is no such column."""
        import numpy as np

        read = self._read()
        if column not in read:
            raise Rejected(f"{self._where} has no column {column[:60]!r}; it has {', '.join(read)}")
        values = read[column]
        return np.frombuffer(values, np.float64) if isinstance(values, array.array) else np.asarray(values, dtype=str)

    def _read(self) -> dict[str, Any]:
        # Columns of plain doubles: a row costs 8 bytes a number, not a Python object for each.
        if self._columns is None:
            self._columns = _columns(self.path, self._where)
        return self._columns


def _columns(path: Path, where: str) -> dict[str, Any]:
    if not path.is_file():
        raise Rejected(f"{where} is a folder; give the url of one CSV file")
    rows = _rows(path, where)
    number, header = next(rows, (1, []))
    place = f"{where}: {path.name}"
    if not header:
        raise Rejected(f"{place} is empty; write a header line and at least one row")
    if any(not name.strip() for name in header) or len(set(header)) != len(header):
        raise Rejected(f"{place}:{number}: the header {header!r:.120} has an empty or a repeated name; rename it")
    found: list[Any] = []
    for number, row in rows:
        if row == header:
            raise Rejected(f"{place}:{number}: the header comes twice; were two files joined? remove this line")
        if len(row) != len(header):
            raise Rejected(f"{place}:{number}: {len(row)} values for {len(header)} columns; correct the line")
        if not found:
            found = [array.array("d") if _number(cell) is not None else [] for cell in row]
        for name, column, cell in zip(header, found, row, strict=True):
            value = _number(cell)
            if isinstance(column, list):
                if value is not None:
                    raise Rejected(f"{place}:{number}: {name} is the number {cell!r} among text; quote nothing else")
                column.append(cell)
            elif value is None or not math.isfinite(value):
                what = repr(cell[:60]) if cell else "empty"
                raise Rejected(f"{place}:{number}: {name} is {what}, not a finite number; correct or drop the line")
            else:
                column.append(value)
    if not found:
        raise Rejected(f"{place} has a header and no row; look at the url")
    return dict(zip(header, found, strict=True))


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _rows(path: Path, where: str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(MAX_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                if row:
                    yield reader.line_num, row
    except UnicodeDecodeError as error:
        raise Rejected(f"{where}: {path.name}: not UTF-8 ({error.reason}); convert it") from None
    except csv.Error as error:
        raise Rejected(f"{where}: {path.name}:{reader.line_num}: {error}; correct the line") from None
