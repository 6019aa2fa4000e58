"""Binary classification: yes or no for each sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from hera_workflows.learning import classification
from hera_workflows.learning.classification import METRICS, PER_CLASS, class_names, combine, evaluate, statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["METRICS", "PER_CLASS", "class_names", "combine", "evaluate", "head", "statistics"]

NAME: Final = "binary-classification"
OUTPUT: Final = "probabilities"
CLASSIFIES: Final = True
UNPAIRED: Final[Sequence[str]] = ()
PRIMARY: Final = "accuracy"


def head(module: Any, *, keywords: bool) -> Any:
    """(n,), (n, 1) or (n, 2) logits → (n, 2) probabilities."""
    from hera_workflows.learning.heads import BinaryHead

    return BinaryHead(module, keywords=keywords)


def check_classes(classes: Sequence[str] | None) -> list[str]:
    """Sentences; the names of label 0 and of label 1, or none at all."""
    if classes is None:
        return []
    return [] if len(classes) == 2 else [f"{len(classes)} classes; list two: the names of label 0 and of label 1"]


def check_labels(labels: NDArray[Any], classes: Sequence[str] | None) -> list[str]:
    """Sentences; labels: (n,) of 0 and 1."""
    return classification.label_problems(labels, 1, classes or ("0", "1"), None)


def check_output(output: NDArray[Any], labels: NDArray[Any], classes: Sequence[str] | None) -> list[str]:
    """Sentences; output: (n, 2)."""
    return classification.check_output(output, labels, classes or ("0", "1"))


EXAMPLE_YAML: Final = """\
name: {name}
task: binary-classification
classes: [malignant, benign]   # names of label 0 and label 1
train:
  params: {{epochs: 40, lr: 0.003}}
gates:
  accuracy: ">= 0.92"
  recall[malignant]: ">= 0.85"
  champion: {{metric: accuracy, margin: 0.03}}
serving: {{max_batch: 32}}
promotion: {{min_requests: 200, soak: 1m, replay: 300, approval: pull-request}}
"""

EXAMPLE_PY: Final = '''\
"""Is a tumour benign, by measurements of its cells (scikit-learn's breast cancer data)?"""

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from torch import nn


def data(split):
    """(inputs, labels) of one split; slipway asks for "train", "validation" and "test"."""
    x, y = load_breast_cancer(return_X_y=True)
    train, rest = train_test_split(np.arange(len(y)), test_size=0.5, random_state=0, stratify=y)
    mean, deviation = x[train].mean(axis=0), x[train].std(axis=0)
    chosen = {"train": train, "validation": rest[::4], "test": np.delete(rest, np.s_[::4])}[split]
    return ((x[chosen] - mean) / deviation).astype("float32"), y[chosen]


def train(ctx):
    """The trained module: it takes what data() gives and returns one logit a sample."""
    inputs, labels = data("train")
    model = nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 1)).to(ctx.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=ctx.params["lr"], weight_decay=0.01)
    for _ in ctx.epochs(model=model, optimizer=optimizer):
        for x, y in ctx.batches(inputs, labels, size=32):
            with ctx.autocast():
                loss = nn.functional.binary_cross_entropy_with_logits(model(x)[:, 0], y.float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ctx.progress(loss=loss)
    return model
'''
