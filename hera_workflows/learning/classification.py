"""How good class probabilities are: the metrics that the classification tasks share.

Every metric is a function of means of per-sample numbers, so that one resampling routine serves all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hera_workflows.learning.tasks import Direction

__all__ = [
    "METRICS",
    "PER_CLASS",
    "check_output",
    "class_names",
    "combine",
    "evaluate",
    "label_problems",
    "per_class",
    "statistics",
]

METRICS: Final[Mapping[str, Direction]] = {
    "accuracy": "higher",
    "macro_f1": "higher",
    "macro_precision": "higher",
    "macro_recall": "higher",
    "calibration_error": "lower",
}
PER_CLASS: Final = ("precision", "recall", "f1")
BINS: Final = 15


def statistics(metric: str, p: NDArray[Any], y: NDArray[Any], names: Sequence[str]) -> NDArray[np.float64]:
    """(n, k): what each sample adds to the metric. p: (n, classes), rows sum to 1; y: (n,), 0 <= label < classes."""
    import numpy as np

    predicted = p.argmax(axis=1)
    if metric == "accuracy":
        return np.asarray(predicted == y, np.float64)[:, None]
    if metric == "calibration_error":
        confidence = p.max(axis=1).astype(np.float64)
        place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
        inside = np.eye(BINS)[place]
        return np.concatenate([inside * confidence[:, None], inside * (predicted == y)[:, None]], axis=1)
    said, true = np.eye(len(names))[predicted], np.eye(len(names))[np.asarray(y)]
    if one := _one_class(metric, names):
        said, true = said[:, one[1] : one[1] + 1], true[:, one[1] : one[1] + 1]
    return np.concatenate([said * true, said, true], axis=1)


def combine(metric: str, means: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
    """(..., k) means of `statistics` → (...,) values of the metric.

    Calibration error: mean gap between confidence and accuracy over 15 equal bins, in [0, 1]; 0 is perfect.
    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. 3.
    """
    import numpy as np

    if metric == "accuracy":
        return np.asarray(means[..., 0])
    if metric == "calibration_error":
        return np.asarray(np.abs(means[..., :BINS] - means[..., BINS:]).sum(axis=-1))
    both, said, true = np.split(means, 3, axis=-1)
    kind = metric.removeprefix("macro_").partition("[")[0]
    over = {"precision": said, "recall": true, "f1": (said + true) / 2}[kind]
    # A class that is neither predicted nor present scores 0, as scikit-learn's zero_division=0 does.
    scores = np.divide(both, over, out=np.zeros_like(both), where=over > 0)
    if not metric.startswith("macro_"):
        return np.asarray(scores[..., 0])
    # Macro over the classes that occur in labels or predictions, as scikit-learn does.
    seen = (said + true) > 0
    return np.asarray(np.where(seen, scores, 0).sum(axis=-1) / np.maximum(seen.sum(axis=-1), 1))


def evaluate(p: NDArray[Any], y: NDArray[Any], names: Sequence[str]) -> dict[str, Any]:
    """`metrics` by name, per-class ones as `f1[cat]`, and `confusion` (rows: truth, columns: prediction)."""
    from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

    predicted, order = p.argmax(axis=1), list(range(len(names)))
    macro = precision_recall_fscore_support(y, predicted, average="macro", zero_division=0)
    each = precision_recall_fscore_support(y, predicted, labels=order, average=None, zero_division=0)
    error = combine("calibration_error", statistics("calibration_error", p, y, names).mean(axis=0), names)
    metrics = {
        "accuracy": float(accuracy_score(y, predicted)),
        "macro_f1": float(macro[2]),
        "macro_precision": float(macro[0]),
        "macro_recall": float(macro[1]),
        "calibration_error": float(error),
    }
    for index, name in enumerate(names):
        for kind, scores in zip(PER_CLASS, each, strict=False):
            metrics[f"{kind}[{name}]"] = float(scores[index])
    return {"metrics": metrics, "confusion": confusion_matrix(y, predicted, labels=order).tolist()}


def per_class(metric: str) -> bool:
    """Whether the metric is one class's, such as `f1[cat]`."""
    return metric.partition("[")[0] in PER_CLASS and metric.endswith("]")


def _one_class(metric: str, names: Sequence[str]) -> tuple[str, int] | None:
    if not per_class(metric):
        return None
    kind, _, rest = metric.partition("[")
    return kind, list(names).index(rest[:-1])


def class_names(output: NDArray[Any], classes: Sequence[str] | None) -> list[str]:
    """The names in model.yaml, else the numbers of the output's classes."""
    return list(classes) if classes else [str(index) for index in range(output.shape[-1])]


def check_output(output: NDArray[Any], labels: NDArray[Any], classes: Sequence[str] | None) -> list[str]:
    """What is wrong with served probabilities, or labels that have none; output: (*shape of labels, classes)."""
    import numpy as np

    shape = labels.shape
    if output.ndim != len(shape) + 1 or output.shape[:-1] != shape:
        wanted = ", ".join([*map(str, shape), "classes"])
        return [f"the module answers with shape {output.shape}; return logits of shape ({wanted})"]
    if classes and output.shape[-1] != len(classes):
        return [
            f"the module answers with {output.shape[-1]} classes and model.yaml lists {len(classes)}; "
            "make the last layer and `classes` agree"
        ]
    if output.shape[-1] < 2:
        return [f"the module answers with {output.shape[-1]} class; return one logit for each class"]
    if not np.isfinite(output).all():
        return ["the module answers with NaN or infinite numbers; lower the learning rate or check the inputs"]
    count, high = output.shape[-1], int(labels.max(initial=0))
    if high >= count:
        return [
            f"label {high} has no output: the module answers with {count} classes (0 to {count - 1}); "
            "make the last layer larger or correct the label"
        ]
    return []


def label_problems(
    labels: NDArray[Any], dimensions: int, classes: Sequence[str] | None, ignore: int | None
) -> list[str]:
    """What is wrong with class labels: whole numbers from 0, below the number of classes where that is known."""
    import numpy as np

    if labels.ndim != dimensions:
        wanted = "(samples,)" if dimensions == 1 else "(samples, tokens)"
        return [f"labels have shape {labels.shape}; give class numbers of shape {wanted}"]
    if not (np.issubdtype(labels.dtype, np.integer) or labels.dtype == bool):
        return [f"labels are {labels.dtype}; give class numbers as integers, for example labels.astype('int64')"]
    counted = labels[labels != ignore] if ignore is not None else labels
    if counted.size == 0:
        return ["every label is ignored (-100); label at least one token"]
    low, high = int(counted.min()), int(counted.max())
    if low < 0:
        return [f"label {low} is negative; number the classes from 0"]
    if classes and high >= len(classes):
        return [f"label {high} has no class: model.yaml lists {len(classes)} (0 to {len(classes) - 1}); add it there"]
    return []
