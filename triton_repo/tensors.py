"""How do arrays become what Triton's clients send?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["tensors"]


def tensors(triton: Any, inputs: dict[str, NDArray[Any]]) -> list[Any]:
    """The inputs of one request by tensor name, as `InferInput`s of `triton` (tritonclient.grpc or .http).

    Text, of a fixed width or as objects, becomes BYTES.
    """
    from tritonclient.utils import np_to_triton_dtype

    found = []
    for name, array in inputs.items():
        text = array.dtype.kind in "SUO"
        tensor = triton.InferInput(name, list(array.shape), "BYTES" if text else np_to_triton_dtype(array.dtype))
        found.append(tensor.set_data_from_numpy(array.astype(object) if text else array))
    return found
