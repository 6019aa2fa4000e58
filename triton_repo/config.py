"""What does config.pbtxt say? Rendered from protobuf, never from a string template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slipway.errors import Rejected
from slipway.names import check_model, check_number
from slipway.spec import Serving
from triton_repo.golden import Golden
from triton_repo.runtime import Backend

__all__ = [
    "Signature",
    "Tensor",
    "numpy_type",
    "read_signature",
    "render_config",
    "signature_of",
]

_NUMPY = {
    "BOOL": "bool",
    **{f"{kind}{bits}": f"{kind.lower()}{bits}" for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"float{bits}" for bits in (16, 32, 64)},
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of a model."""

    name: str
    datatype: str  # Triton's word: FP32, INT64, UINT8, BOOL, BYTES
    dims: tuple[int, ...]  # without the batch; -1 where the size varies

    def __post_init__(self) -> None:
        if self.datatype not in (*_NUMPY, "BYTES"):
            raise Rejected(f"tensor {self.name}: {self.datatype!r} is not a datatype of Triton; use FP32, INT64, …")
        if not self.name.isprintable() or not 0 < len(self.name) <= 200:
            raise Rejected(f"tensor name {self.name[:80]!r} is not one printable line of at most 200 characters")
        if any(dim < 1 and dim != -1 for dim in self.dims):
            raise Rejected(f"tensor {self.name}: dims {self.dims} must be at least 1, or -1 where the size varies")


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and what it answers."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def to_json(self) -> dict[str, list[dict[str, Any]]]:
        """A dict of JSON values that `from_json` reads back."""
        return {
            side: [{"name": t.name, "datatype": t.datatype, "dims": list(t.dims)} for t in tensors]
            for side, tensors in (("inputs", self.inputs), ("outputs", self.outputs))
        }

    @classmethod
    def from_json(cls, value: Any) -> Signature:
        """The signature that a dict describes; raises Rejected when it describes none."""

        def tensors(side: str) -> tuple[Tensor, ...]:
            return tuple(Tensor(str(t["name"]), str(t["datatype"]), tuple(map(int, t["dims"]))) for t in value[side])

        try:
            return cls(tensors("inputs"), tensors("outputs"))
        except (KeyError, TypeError, ValueError) as error:
            raise Rejected(f"the model's signature cannot be read ({error!r}); train the model again") from None


def signature_of(golden: Golden) -> Signature:
    """The signature that golden requests show; every size is fixed at what they have."""
    words = {word: name for name, word in _NUMPY.items()}

    def tensors(arrays: dict[str, Any]) -> tuple[Tensor, ...]:
        return tuple(Tensor(name, words.get(str(a.dtype), "BYTES"), a.shape[1:]) for name, a in arrays.items())

    return Signature(tensors(golden.inputs), tensors(golden.outputs))


def _preferred(max_batch: int) -> list[int]:
    # A half and a full batch: Triton sends a preferred size at once instead of waiting out the delay.
    return sorted({max(1, max_batch // 2), max_batch})


# Triton counts each row of a warm-up as a request that took as long as all of them: a batch of thousands would look
# like traffic to whoever judges the version.
_WARM = 8


def render_config(
    model: str,
    number: int,
    signature: Signature,
    serving: Serving,
    backend: Backend,
    warmup: Golden | None = None,
) -> str:
    """The text of config.pbtxt; only version `number` is served, whatever else lies beside it.

    warmup: golden requests, for the shapes with which Triton warms up (batch 1 and a small batch) before READY.
    """
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2 as pb

    config = pb.ModelConfig(name=check_model(model), max_batch_size=serving.max_batch)
    config.backend = backend
    if backend == "onnxruntime":
        config.default_model_filename = "model.onnx"
    for side, tensors, message in (
        (config.input, signature.inputs, pb.ModelInput),
        (config.output, signature.outputs, pb.ModelOutput),
    ):
        side.extend(message(name=t.name, data_type=_datatype(pb, t), dims=t.dims) for t in tensors)
    if serving.max_batch > 1:
        config.dynamic_batching.preferred_batch_size.extend(_preferred(serving.max_batch))
        config.dynamic_batching.max_queue_delay_microseconds = serving.max_queue_delay_us
    config.instance_group.add(count=serving.instances, kind=pb.ModelInstanceGroup.KIND_CPU)
    config.version_policy.specific.versions.append(check_number(number))
    if warmup is not None:
        for size in sorted({1, min(serving.max_batch, _WARM)}):
            sample = config.model_warmup.add(name=f"batch of {size}", batch_size=size)
            for t in signature.inputs:
                # Zeros in the golden requests' shapes. Their own bytes would have to lie as stray files in the model's
                # directory, which makes Triton reload everything; random data makes indices that do not exist.
                shape = warmup.inputs[t.name].shape[1:] if t.name in warmup.inputs else [max(d, 1) for d in t.dims]
                sample.inputs[t.name].data_type = _datatype(pb, t)
                sample.inputs[t.name].dims.extend(shape)
                sample.inputs[t.name].zero_data = True
    return str(text_format.MessageToString(config))


def _datatype(pb: Any, tensor: Tensor) -> int:
    return int(pb.DataType.Value("TYPE_STRING" if tensor.datatype == "BYTES" else f"TYPE_{tensor.datatype}"))


def read_signature(config: str) -> Signature:
    """The tensors that a config.pbtxt declares; raises Rejected when it is not one of ours."""
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2 as pb

    try:
        parsed = text_format.Parse(config, pb.ModelConfig())
    except text_format.ParseError as error:
        raise Rejected(f"config.pbtxt cannot be read ({error}); publish the version again") from None

    def tensors(side: Any) -> tuple[Tensor, ...]:
        words = ((t, pb.DataType.Name(t.data_type).removeprefix("TYPE_")) for t in side)
        return tuple(Tensor(t.name, "BYTES" if word == "STRING" else word, tuple(t.dims)) for t, word in words)

    return Signature(tensors(parsed.input), tensors(parsed.output))


def numpy_type(tensor: Tensor) -> str:
    """NumPy's word for a tensor's datatype; `object` for text."""
    return _NUMPY.get(tensor.datatype, "object")
