"""What may a person give to a model of this signature, in a few words?"""

from __future__ import annotations

from hera_workflows.asking.pictures import layout
from triton_repo.config import Signature, Tensor

__all__ = ["shape", "wanted"]


def wanted(signature: Signature) -> str:
    """What a person may give, in a few words."""
    if any(tensor.datatype == "BYTES" for tensor in signature.inputs):
        return "a sentence, or a .txt file with one"
    if len(signature.inputs) == 1:
        (tensor,) = signature.inputs
        if layout(tensor) is not None:
            return f"a PNG or JPEG picture (it takes {shape(tensor)}), or a .npy file"
    parts = " and ".join(shape(tensor) for tensor in signature.inputs)
    return f"numbers as a row of CSV or JSON ({parts}), or a file .csv, .json or .npy"


def shape(tensor: Tensor) -> str:
    """A tensor's name, sizes and datatype, for messages."""
    sizes = " × ".join("any" if dim == -1 else str(dim) for dim in tensor.dims)
    return f"{tensor.name}: {sizes or 'one'} {tensor.datatype}"
