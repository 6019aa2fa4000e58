"""How are Triton's clients made, and how do arrays become what they send?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["OWN_CONNECTION", "tensors"]

# channel_args of a gRPC client. gRPC gives the clients of one process one connection, even for a while after it was
# closed: who asks again because nothing answered would be given the same silence.
OWN_CONNECTION = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
]


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
