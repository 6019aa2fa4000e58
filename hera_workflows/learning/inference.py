"""What an ONNX model answers, batch by batch, with ONNX Runtime and nothing of people's code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import Rejected

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["open_session", "predict"]

BATCH = 256
BATCH_BYTES = 4 << 20  # of inputs: a batch of large pictures must not take gigabytes on its way through the layers


def open_session(model: Path, threads: int | None = None) -> Any:
    """An onnxruntime.InferenceSession on the CPU; raises Rejected when the file is not a model it can run."""
    import os

    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no public base class
        raise Rejected(
            f"{model}: ONNX Runtime cannot load it: {str(error).splitlines()[0][:300]}; train again"
        ) from None


def predict(session: Any, inputs: Mapping[str, NDArray[Any]], *, batch: int | None = None) -> NDArray[Any]:
    """The first output for every sample, (n, …); inputs may be memory-mapped and are read `batch` rows at a time.

    Raises Rejected when the model does not take these inputs.
    """
    import numpy as np

    count = len(next(iter(inputs.values())))
    if batch is None:
        one = sum(array.nbytes for array in inputs.values()) // max(1, count)
        batch = max(1, min(BATCH, BATCH_BYTES // max(1, one)))
    result: NDArray[Any] | None = None
    for start in range(0, count, batch):
        part = {name: np.ascontiguousarray(array[start : start + batch]) for name, array in inputs.items()}
        try:
            answer = session.run(None, part)[0]
        except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no public base class
            raise Rejected(f"the model does not take these inputs: {str(error).splitlines()[0][:300]}") from None
        if result is None:
            result = np.empty((count, *answer.shape[1:]), answer.dtype)
        if answer.shape != result[start : start + batch].shape:
            return np.asarray(answer)  # whoever asked sees by its shape that these are not its answers
        result[start : start + batch] = answer
    assert result is not None
    return result
