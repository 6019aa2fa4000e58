"""From a trained module to plain data: ONNX, safetensors, and golden requests with PyTorch's answers."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from hera_workflows.learning.dataset import Split
from hera_workflows.learning.inference import open_session, predict
from hera_workflows.learning.tasks import Task
from hera_workflows.learning.text import is_text
from hera_workflows.learning.text_export import check_padding, pipeline_of, text_golden, text_signature
from slipway.errors import Rejected
from slipway.spec import ModelSpec
from triton_repo.config import Signature, Tensor
from triton_repo.golden import Golden
from triton_repo.runtime.text_pipeline import TEXT_JSON

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["export"]

GOLDEN_REQUESTS = 64
GOLDEN_BYTES = 64 << 20
# Protobuf files end at 2 GiB; bigger weights lie beside the graph.
EXTERNAL_BYTES = 1_500_000_000
_TRITON = {"bool": "BOOL", **{f"float{b}": f"FP{b}" for b in (16, 32, 64)}}


def export(module: nn.Module, task: Task, test: Split, spec: ModelSpec, folder: Path) -> Signature:
    """Write model.onnx (dynamic batch), weights.safetensors and golden.npz into `folder`.

    Raises Rejected when the module answers with the wrong shape or NaN, when ONNX cannot express it (naming the
    operator or the line), and when ONNX Runtime answers differently from PyTorch by more than serving.tolerance.
    """
    from safetensors.torch import save_model

    module = module.to("cpu").eval()
    save_model(module, str(folder / "weights.safetensors"))
    served = task.head(module, keywords=test.keywords).eval()
    given = _golden_inputs(test)
    text = pipeline_of(module, spec.classes) if any(map(is_text, given.values())) else None
    inputs = given if text is None else {name: text.encode(texts.tolist()) for name, texts in given.items()}
    answers = _ask(served, inputs)
    labels = test.labels[_golden_places(test)]
    if text is not None:  # the longest text of all may not be among these
        labels = labels[:, : next(iter(inputs.values())).shape[1]]
    if problems := task.check_output(answers, labels, spec.classes):
        raise Rejected("; ".join(problems))
    _depends_on_itself_alone(served, inputs, answers, spec.serving.tolerance)
    _to_onnx(served, inputs, task.OUTPUT, folder / "model.onnx", sequences=text is not None)
    golden = Golden(inputs, {task.OUTPUT: answers})
    _same_answers(folder / "model.onnx", golden, task.OUTPUT, spec.serving.tolerance)
    if text is not None:
        check_padding(folder / "model.onnx", golden, spec.serving.tolerance)
        text.write(folder / TEXT_JSON)
        text_golden(text, given, answers).save(folder / "golden.npz")
        return text_signature(*given)
    golden.save(folder / "golden.npz")
    return Signature(
        tuple(Tensor(name, _datatype(array), array.shape[1:]) for name, array in inputs.items()),
        (Tensor(task.OUTPUT, _datatype(answers), answers.shape[1:]),),
    )


def _datatype(array: NDArray[Any]) -> str:
    name = str(array.dtype)
    return _TRITON.get(name, name.upper())


def _golden_places(test: Split) -> NDArray[np.int64]:
    """Places spread evenly over the test split: sorted data must not give requests of one class only."""
    size = sum(array[:1].nbytes for array in test.inputs.values())
    count = max(1, min(GOLDEN_REQUESTS, len(test), GOLDEN_BYTES // max(1, size)))
    return np.unique(np.linspace(0, len(test) - 1, count).astype(np.int64))


def _golden_inputs(test: Split) -> dict[str, NDArray[Any]]:
    places = _golden_places(test)
    return {name: np.ascontiguousarray(array[places]) for name, array in test.inputs.items()}


def _ask(served: nn.Module, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    with torch.inference_mode():
        answer: torch.Tensor = served(**{name: torch.from_numpy(array) for name, array in inputs.items()})
    return answer.numpy()


def _depends_on_itself_alone(
    served: nn.Module, inputs: Mapping[str, NDArray[Any]], answers: NDArray[Any], tolerance: float
) -> None:
    """Triton batches requests of different people, so an answer must not depend on its neighbours, nor on chance."""
    if not np.allclose(_ask(served, inputs), answers, rtol=0, atol=tolerance):
        raise Rejected("two equal requests get different answers; forward() must not draw random numbers in eval mode")
    alone = _ask(served, {name: array[:1] for name, array in inputs.items()})
    if alone.shape != answers[:1].shape or not np.allclose(alone, answers[:1], rtol=0, atol=tolerance):
        raise Rejected(
            "a sample's answer changes with the other samples of its batch; "
            "in forward() use nothing but the sample itself (no mean over the first axis)"
        )


def _to_onnx(
    served: nn.Module, inputs: Mapping[str, NDArray[Any]], output: str, path: Path, *, sequences: bool = False
) -> None:
    # Two requests at least: with one, the exporter takes the batch for a constant.
    example = {
        name: torch.from_numpy(np.resize(a, (max(2, min(3, len(a))), *a.shape[1:]))) for name, a in inputs.items()
    }
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    varying = {0: batch, 1: torch.export.Dim("tokens", min=1, max=1 << 16)} if sequences else {0: batch}
    weights = sum(p.numel() * p.element_size() for p in served.parameters())
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        # The exporter prints whole graphs when it fails; the line that is raised says what matters.
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                served,
                (),
                str(path),
                kwargs=example,
                input_names=list(example),
                output_names=[output],
                dynamic_shapes={"inputs": dict.fromkeys(example, varying)},
                dynamo=True,
                external_data=weights > EXTERNAL_BYTES,
                verbose=False,
            )
    except Exception as error:  # noqa: BLE001 - the exporter raises whatever its many layers raise
        raise Rejected(f"ONNX cannot express this model: {_cause(error)}") from None


_OPERATOR = re.compile(r"(?:op='|aten\.|torch\.ops\.)([\w.:]+)")
_LINE = re.compile(r'File "([^"]+)", line (\d+), in (?!_call_impl|_wrapped_call_impl)(\w+)')


def _cause(error: BaseException) -> str:
    """The operator or the line of model.py that stopped the exporter, and what to do."""
    chain: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in chain:
        chain.append(step)
        step = step.__cause__ or step.__context__
    texts = [str(part) for part in chain]
    for text in reversed(texts):
        if unsupported := re.search(r"No (?:ONNX function|decompositions?)[^\n]*?([\w.:]+)'?[^\w]*(?:\n|$|\.)", text):
            operator = _OPERATOR.search(text)
            return f"operator {operator[1] if operator else unsupported[1]} has no ONNX form; use another operation"
    place = next((m for text in reversed(texts) for m in [_own_line(text)] if m), "")
    if any("specialized" in text or "Constraints violated" in text for text in texts):
        return f"{place}the batch size became a constant; do not turn shapes into Python numbers in forward()"
    if any("data-dependent" in text.lower() or "guard on" in text.lower() for text in texts):
        return f"{place}forward() branches on the values of a tensor; use torch.where or torch.cond"
    root = next((text for text in reversed(texts) if text.strip()), type(error).__name__)
    first = next(line.strip() for line in root.splitlines() if line.strip())
    return f"{place}{type(chain[-1]).__name__}: {first[:200]}; change that part of forward()"


def _own_line(text: str) -> str:
    lines = [m for m in _LINE.finditer(text) if "site-packages" not in m[1] and "hera_workflows" not in m[1]]
    return f"{Path(lines[-1][1]).name}:{lines[-1][2]} ({lines[-1][3]}): " if lines else ""


def _same_answers(path: Path, golden: Golden, output: str, tolerance: float) -> None:
    session = open_session(path)
    expected = golden.outputs[output]
    for size in _sizes(len(golden)):
        part = {name: array[:size] for name, array in golden.inputs.items()}
        try:
            got = predict(session, part, batch=size)
        except Rejected:
            raise Rejected(
                f"the exported model refuses a batch of {size}: the batch size became a constant; "
                "do not turn shapes into Python numbers in forward()"
            ) from None
        if got.shape != expected[:size].shape:
            raise Rejected(
                f"ONNX Runtime answers a batch of {size} with shape {got.shape} instead of {expected[:size].shape}; "
                "keep the first axis for samples in forward()"
            )
        gap = float(np.abs(got.astype(np.float64) - expected[:size]).max())
        if not gap <= tolerance:
            raise Rejected(
                f"ONNX Runtime's answers differ from PyTorch's by {gap:.2g} (batch of {size}; allowed {tolerance:g}); "
                "avoid randomness and batch statistics in eval mode, or raise serving.tolerance"
            )


def _sizes(count: int) -> Sequence[int]:
    return sorted({1, min(2, count), count})
