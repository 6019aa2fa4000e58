"""Regression: one number for each sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hera_workflows.learning.tasks import Direction

__all__ = ["combine", "evaluate", "head", "statistics"]

NAME: Final = "regression"
OUTPUT: Final = "prediction"
CLASSIFIES: Final = False
METRICS: Final[Mapping[str, Direction]] = {
    "mean_absolute_error": "lower",
    "root_mean_squared_error": "lower",
    "max_absolute_error": "lower",
    "r2": "higher",
}
PER_CLASS: Final[Sequence[str]] = ()
# The largest error is decided by one sample; resampling says nothing about it.
UNPAIRED: Final = ("max_absolute_error",)
PRIMARY: Final = "mean_absolute_error"


def head(module: Any, *, keywords: bool) -> Any:
    """(n,) or (n, 1) numbers → (n, 1) predictions."""
    from hera_workflows.learning.heads import PredictionHead

    return PredictionHead(module, keywords=keywords)


def check_classes(classes: Sequence[str] | None) -> list[str]:
    """Sentences; there are none."""
    return ["a regression has no classes; remove `classes`"] if classes is not None else []


def check_labels(labels: NDArray[Any], classes: Sequence[str] | None) -> list[str]:
    """Sentences; labels: (n,) or (n, 1) finite numbers."""
    import numpy as np

    if labels.ndim != 1 and labels.shape[1:] != (1,):
        return [f"labels have shape {labels.shape}; give one number a sample, shape (samples,)"]
    if not np.issubdtype(labels.dtype, np.number) or np.issubdtype(labels.dtype, np.complexfloating):
        return [f"labels are {labels.dtype}; give real numbers, for example labels.astype('float32')"]
    return []


def check_output(output: NDArray[Any], labels: NDArray[Any], classes: Sequence[str] | None) -> list[str]:
    """Sentences; output: (n, 1)."""
    import numpy as np

    if output.shape != (len(labels), 1):
        return [f"the module answers with shape {output.shape}; return one number a sample, shape (samples, 1)"]
    if not np.isfinite(output).all():
        return ["the module answers with NaN or infinite numbers; lower the learning rate or check the inputs"]
    return []


def class_names(output: NDArray[Any], classes: Sequence[str] | None) -> list[str]:
    """No classes."""
    return []


def statistics(metric: str, p: NDArray[Any], y: NDArray[Any], names: Sequence[str]) -> NDArray[np.float64]:
    """(n, k): absolute or squared errors; for R² also the labels and their squares."""
    import numpy as np

    truth = np.asarray(y, np.float64).reshape(len(y))
    error = np.asarray(p, np.float64).reshape(len(y)) - truth
    if metric == "r2":
        return np.stack([error**2, truth, truth**2], axis=1)
    return np.asarray(error**2 if metric == "root_mean_squared_error" else np.abs(error))[:, None]


def combine(metric: str, means: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
    """(..., k) means of `statistics` → (...,) values."""
    import numpy as np

    if metric == "root_mean_squared_error":
        return np.asarray(np.sqrt(means[..., 0]))
    if metric == "r2":
        spread = means[..., 2] - means[..., 1] ** 2
        return np.asarray(1 - means[..., 0] / np.where(spread > 0, spread, np.nan))
    return np.asarray(means[..., 0])


def evaluate(p: NDArray[Any], y: NDArray[Any], names: Sequence[str]) -> dict[str, Any]:
    """`metrics`: mean and largest absolute error and root mean squared error in the labels' unit; R²."""
    from sklearn.metrics import max_error, mean_absolute_error, r2_score, root_mean_squared_error

    prediction, truth = p.reshape(len(y)), y.reshape(len(y))
    metrics = {
        "mean_absolute_error": float(mean_absolute_error(truth, prediction)),
        "root_mean_squared_error": float(root_mean_squared_error(truth, prediction)),
        "max_absolute_error": float(max_error(truth, prediction)),
    }
    if len(y) > 1:
        metrics["r2"] = float(r2_score(truth, prediction))
    return {"metrics": metrics}


EXAMPLE_YAML: Final = """\
name: {name}
task: regression
train:
  params: {{epochs: 80, lr: 0.003}}
gates:
  mean_absolute_error: "<= 55"
  r2: ">= 0.25"
  champion: {{metric: mean_absolute_error, margin: 3}}
serving: {{max_batch: 32, tolerance: 0.01}}
promotion: {{min_requests: 200, soak: 1m, replay: 300, approval: pull-request}}
"""

EXAMPLE_PY: Final = '''\
"""How far diabetes goes on within a year, 25 to 346, by ten measurements (scikit-learn's diabetes data)."""

import numpy as np
import torch
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from torch import nn


def data(split):
    """(inputs, labels) of one split; slipway asks for "train", "validation" and "test"."""
    x, y = load_diabetes(return_X_y=True)
    train, rest = train_test_split(np.arange(len(y)), test_size=0.5, random_state=0)
    chosen = {"train": train, "validation": rest[::4], "test": np.delete(rest, np.s_[::4])}[split]
    return (x[chosen] * 21).astype("float32"), y[chosen].astype("float32")  # 21: about unit variance


class Progression(nn.Module):
    """A linear model with a little non-linearity; answers in the labels' unit."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x):
        return 150 + 75 * self.layers(x)


def train(ctx):
    """The trained module: it takes what data() gives and returns one number a sample."""
    inputs, labels = data("train")
    model = Progression().to(ctx.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=ctx.params["lr"], weight_decay=0.1)
    for _ in ctx.epochs(model=model, optimizer=optimizer):
        for x, y in ctx.batches(inputs, labels, size=32):
            with ctx.autocast():
                loss = nn.functional.smooth_l1_loss(model(x)[:, 0], y, beta=30.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ctx.progress(loss=loss)
    return model
'''
