"""Multiclass classification: one of several classes for each sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from hera_workflows.learning import classification
from hera_workflows.learning.classification import (
    METRICS,
    PER_CLASS,
    check_output,
    class_names,
    combine,
    evaluate,
    statistics,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["METRICS", "PER_CLASS", "check_output", "class_names", "combine", "evaluate", "head", "statistics"]

NAME: Final = "multiclass-classification"
OUTPUT: Final = "probabilities"
CLASSIFIES: Final = True
UNPAIRED: Final[Sequence[str]] = ()
PRIMARY: Final = "accuracy"


def head(module: Any, *, keywords: bool) -> Any:
    """(n, classes) logits → (n, classes) probabilities."""
    from hera_workflows.learning.heads import ProbabilityHead

    return ProbabilityHead(module, keywords=keywords)


def check_classes(classes: Sequence[str] | None) -> list[str]:
    """Sentences; two names at least, or none at all."""
    if classes is None:
        return []
    return [] if len(classes) > 1 else [f"{len(classes)} classes; list at least two, in the order of their number"]


def check_labels(labels: NDArray[Any], classes: Sequence[str] | None) -> list[str]:
    """Sentences; labels: (n,) whole numbers from 0."""
    return classification.label_problems(labels, 1, classes, None)


EXAMPLE_YAML: Final = """\
name: {name}
task: multiclass-classification
classes: [class_0, class_1, class_2]   # names of the labels, in the order of their number
train:
  params: {{epochs: 60, lr: 0.01}}
gates:
  accuracy: ">= 0.90"
  champion: {{metric: accuracy, margin: 0.05}}
serving: {{max_batch: 32}}
promotion: {{min_requests: 200, soak: 1m, replay: 300, approval: pull-request}}
"""

EXAMPLE_PY: Final = '''\
"""Which of three growers a wine came from, by its chemistry (scikit-learn's wine data)."""

import numpy as np
import torch
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from torch import nn


def data(split):
    """(inputs, labels) of one split; slipway asks for "train", "validation" and "test"."""
    x, y = load_wine(return_X_y=True)
    train, rest = train_test_split(np.arange(len(y)), test_size=0.5, random_state=0, stratify=y)
    mean, deviation = x[train].mean(axis=0), x[train].std(axis=0)
    chosen = {"train": train, "validation": rest[::4], "test": np.delete(rest, np.s_[::4])}[split]
    return ((x[chosen] - mean) / deviation).astype("float32"), y[chosen]


def train(ctx):
    """The trained module: it takes what data() gives and returns one logit for each class."""
    inputs, labels = data("train")
    model = nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 3)).to(ctx.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=ctx.params["lr"])
    for _ in ctx.epochs(model=model, optimizer=optimizer):
        for x, y in ctx.batches(inputs, labels, size=32):
            with ctx.autocast():
                loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ctx.progress(loss=loss)
    return model
'''
