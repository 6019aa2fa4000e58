"""What a module that was trained on text leaves behind: its vocabulary as data, and golden requests as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hera_workflows.learning.inference import open_session, predict
from hera_workflows.learning.text import MAX_CHARACTERS
from slipway.errors import Rejected
from triton_repo.config import Signature, Tensor
from triton_repo.golden import Golden
from triton_repo.runtime.text_pipeline import RESERVED, TextPipeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["check_padding", "pipeline_of", "text_golden", "text_signature"]

ENTITIES = "entities"  # the served output
_VOCABULARY = 1_000_000  # tokens
_MORE = 7  # columns of padding that a longer neighbour might bring


def pipeline_of(module: Any, classes: Sequence[str] | None) -> TextPipeline:
    """What the served version needs to know; raises Rejected when the module has no usable `.vocabulary`."""
    vocabulary = getattr(module, "vocabulary", None)
    words = list(vocabulary) if isinstance(vocabulary, (list, tuple)) else []
    if not words or not all(isinstance(word, str) for word in words):
        raise Rejected(
            "data() gives text, so the trained module needs its vocabulary: "
            "model.vocabulary = hera_workflows.learning.text.vocabulary_of(texts)"
        )
    if tuple(words[:3]) != RESERVED or len(set(words)) != len(words) or len(words) > _VOCABULARY:
        raise Rejected(
            f"model.vocabulary must begin with {', '.join(RESERVED)} and hold each token once, "
            f"at most {_VOCABULARY:,}; hera_workflows.learning.text.vocabulary_of makes one"
        )
    return TextPipeline(tuple(words), tuple(classes or ()), MAX_CHARACTERS)


def check_padding(model: Path, numbers: Golden, tolerance: float) -> None:
    """Raise Rejected when model.onnx answers otherwise for a sentence because a longer one is in its batch."""
    session = open_session(model)
    ((name, ids),) = numbers.inputs.items()
    ((_, expected),) = numbers.outputs.items()
    wider = predict(session, {name: np.pad(ids, ((0, 0), (0, _MORE)))}, batch=len(ids))
    # Answers to padding itself are never shown.
    real = ids != 0
    if wider.shape[:2] != (len(ids), ids.shape[1] + _MORE):
        raise Rejected("the module answers other lengths with another shape; return (texts, tokens, classes) logits")
    if not np.allclose(wider[:, : ids.shape[1]][real], expected[real], rtol=0, atol=tolerance):
        raise Rejected(
            "a text's answer changes with the padding that a longer text in its batch brings; "
            "in forward() let id 0 change nothing (lengths are `(ids != 0).sum(1)`)"
        )


def text_golden(pipeline: TextPipeline, texts: Mapping[str, NDArray[Any]], answers: NDArray[Any]) -> Golden:
    """Golden requests as clients send them, and the entities that PyTorch found; UTF-8, (requests, 1)."""

    def column(values: Sequence[str]) -> NDArray[np.bytes_]:
        return np.array([value.encode() for value in values], dtype=bytes).reshape(-1, 1)

    ((name, rows),) = texts.items()
    return Golden({name: column(rows.tolist())}, {ENTITIES: column(pipeline.decode(rows.tolist(), answers))})


def text_signature(name: str) -> Signature:
    """One text a request, and its entities as JSON."""
    return Signature((Tensor(name, "BYTES", (1,)),), (Tensor(ENTITIES, "BYTES", (1,)),))
