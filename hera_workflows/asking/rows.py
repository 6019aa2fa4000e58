"""How do rows of CSV or JSON, and arrays, become the tensors that a model takes?"""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING, Any

from hera_workflows.asking.wanted import shape, wanted
from slipway.errors import Rejected
from triton_repo.config import Signature, Tensor, numpy_type

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["rows", "samples"]


def samples(array: NDArray[Any], signature: Signature, max_batch: int) -> dict[str, NDArray[Any]]:
    """One sample, or several along the first axis."""
    import numpy as np

    if len(signature.inputs) != 1:
        raise Rejected(f"an array is one input; this model wants {wanted(signature)}")
    (tensor,) = signature.inputs
    for many in (array, array[np.newaxis]):
        if many.ndim == len(tensor.dims) + 1 and all(
            size in (have, -1) for size, have in zip(tensor.dims, many.shape[1:], strict=True)
        ):
            return {tensor.name: _typed(_few(many, max_batch), tensor)}
    raise Rejected(f"the array has shape {array.shape}; this model wants {shape(tensor)}")


def _few(array: Any, max_batch: int) -> Any:
    if not 0 < len(array) <= max_batch:
        raise Rejected(f"{len(array)} samples; send 1 to {max_batch} at a time (serving.max_batch)")
    return array


def _typed(array: Any, tensor: Tensor) -> NDArray[Any]:
    """The array in the tensor's datatype; raises Rejected when that would change a value."""
    import numpy as np

    try:
        values = np.asarray(array, np.float64) if not isinstance(array, np.ndarray) else array
        with np.errstate(all="ignore"):
            typed = np.ascontiguousarray(values.astype(numpy_type(tensor)))
    except (ValueError, TypeError):
        raise Rejected(
            f"{tensor.name} is not {tensor.datatype} numbers of one shape; it wants {shape(tensor)}"
        ) from None
    if typed.dtype.kind != "f" and not np.array_equal(typed, values):
        raise Rejected(f"{tensor.name} takes {tensor.datatype}; there are values that are no such numbers")
    if not np.isfinite(np.asarray(typed, np.float64)).all():
        raise Rejected(f"{tensor.name} would hold NaN or infinite numbers; give finite ones")
    return typed


def rows(content: str, signature: Signature, max_batch: int) -> dict[str, NDArray[Any]]:
    """The tensors of rows of CSV (a header may name the inputs) or of JSON (an array, or an object by input name)."""
    value = _json(content)
    if value is None:
        return _numbers(_few(_csv(content, signature), max_batch), signature)
    if isinstance(value, dict):
        return _named(value, signature)
    if len(signature.inputs) == 1:
        import numpy as np

        try:
            array = np.asarray(value, np.float64)
        except (ValueError, TypeError):
            raise Rejected(f"the JSON is not an array of numbers of one shape; give {wanted(signature)}") from None
        if array.ndim == 0:
            array = array.reshape(1)
        return samples(array, signature, max_batch)
    return _numbers([value] if isinstance(value, list) else [[value]], signature)


def _json(content: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        if content.lstrip()[:1] in ("{", "["):
            raise Rejected("the row begins like JSON and is none; check its brackets and quotes") from None
        return None


def _named(value: dict[str, Any], signature: Signature) -> dict[str, NDArray[Any]]:
    import numpy as np

    names = [tensor.name for tensor in signature.inputs]
    if set(value) != set(names):
        raise Rejected(f"the JSON names {', '.join(map(str, value)) or 'nothing'}; give {', '.join(names)}")
    inputs: dict[str, NDArray[Any]] = {}
    for tensor in signature.inputs:
        try:
            array = np.asarray(value[tensor.name], np.float64)
        except (ValueError, TypeError):
            raise Rejected(f"{tensor.name} is not numbers of one shape; it wants {shape(tensor)}") from None
        one = Signature((tensor,), ())
        inputs |= samples(array.reshape(1) if array.ndim == 0 else array, one, 1)
    return inputs


def _csv(content: str, signature: Signature) -> list[list[float]]:
    """Rows of numbers; a header that names the inputs puts them into the signature's order."""
    try:
        lines = [row for row in csv.reader(io.StringIO(content), strict=True) if row]
    except csv.Error as error:
        raise Rejected(f"the CSV cannot be read ({error}); give {wanted(signature)}") from None
    if not lines:
        raise Rejected(f"there are no numbers; give {wanted(signature)}")
    names, order = [tensor.name for tensor in signature.inputs], None
    header = [cell.strip() for cell in lines[0]]
    if len(lines) > 1 and all(_number(cell) is None for cell in header):
        lines = lines[1:]
        if len(names) > 1 and set(header) >= set(names):
            order = [header.index(name) for name in names]
    table = []
    for place, line in enumerate(lines, start=1):
        cells = [line[index] if index < len(line) else "" for index in order] if order is not None else line
        numbers = [_number(cell) for cell in cells]
        if (
            bad := next((cell for cell, number in zip(cells, numbers, strict=True) if number is None), None)
        ) is not None:
            raise Rejected(f"row {place}: {bad[:60]!r} is not a finite number; give {wanted(signature)}")
        table.append([number for number in numbers if number is not None])
    return table


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _numbers(table: list[list[float]], signature: Signature) -> dict[str, NDArray[Any]]:
    """Numbers in the order of the signature, cut into its tensors."""
    import numpy as np

    sizes = [math.prod(tensor.dims) for tensor in signature.inputs]
    if min(sizes) < 0:
        raise Rejected(f"a row cannot say how its numbers are cut; give JSON by input name: {wanted(signature)}")
    for place, row in enumerate(table, start=1):
        if len(row) != sum(sizes):
            raise Rejected(f"row {place} has {len(row)} numbers and {sum(sizes)} are needed; give {wanted(signature)}")
    parts = np.split(np.asarray(table, np.float64), np.cumsum(sizes)[:-1], axis=1)
    return {
        tensor.name: _typed(part.reshape(len(table), *tensor.dims), tensor)
        for tensor, part in zip(signature.inputs, parts, strict=True)
    }
