"""Multilabel classification: each sample has any number of the classes. The fifth task type of `test_fifth_task.py`."""

from __future__ import annotations

from typing import Any, Final

NAME: Final = "multilabel-classification"
OUTPUT: Final = "probabilities"
CLASSIFIES: Final = False  # labels are no class numbers, but 0 or 1 for each class
METRICS: Final = {"micro_f1": "higher", "hamming_loss": "lower"}
PER_CLASS: Final = ()
UNPAIRED: Final = ()
PRIMARY: Final = "micro_f1"


def head(module: Any, *, keywords: bool) -> Any:
    """(n, classes) logits → (n, classes) probabilities."""
    import torch

    from hera_workflows.learning.heads import PredictionHead

    class Probabilities(PredictionHead):
        def forward(self, **inputs: Any) -> Any:
            return torch.sigmoid(super().forward(**inputs))

    return Probabilities(module, keywords=keywords)


def check_classes(classes: Any) -> list[str]:
    """Sentences."""
    return [] if classes else ["a multilabel classification needs `classes`; name them"]


def check_labels(labels: Any, classes: Any) -> list[str]:
    """Sentences; labels: (n, classes), 0 or 1."""
    if labels.ndim != 2 or not ((labels == 0) | (labels == 1)).all():
        return [f"labels have shape {labels.shape}; give 0 or 1 for each class, shape (samples, classes)"]
    return []


def check_output(output: Any, labels: Any, classes: Any) -> list[str]:
    """Sentences."""
    return [] if output.shape == labels.shape else [f"the module answers with {output.shape}; return a logit a class"]


def class_names(output: Any, classes: Any) -> list[str]:
    """The names of model.yaml."""
    return list(classes)


def statistics(metric: str, p: Any, y: Any, names: Any) -> Any:
    """(n, k): hits, what was said, what is; or the share of classes that are wrong."""
    import numpy as np

    said, true = (p > 0.5), (y > 0.5)
    if metric == "hamming_loss":
        return (said != true).mean(axis=1, keepdims=True).astype(np.float64)
    return np.stack([(said & true).sum(1), said.sum(1), true.sum(1)], axis=1).astype(np.float64)


def combine(metric: str, means: Any, names: Any) -> Any:
    """(…, k) means → (…,) values."""
    return means[..., 0] if metric == "hamming_loss" else 2 * means[..., 0] / (means[..., 1] + means[..., 2])


def evaluate(p: Any, y: Any, names: Any) -> dict[str, Any]:
    """Both metrics."""
    return {"metrics": {name: float(combine(name, statistics(name, p, y, names).mean(0), names)) for name in METRICS}}


EXAMPLE_YAML: Final = """\
name: {name}
task: multilabel-classification
classes: [round, red]
train:
  params: {{epochs: 30, lr: 0.05}}
gates: {{micro_f1: ">= 0.9", champion: {{margin: 0.05}}}}
serving: {{max_batch: 8}}
"""

EXAMPLE_PY: Final = '''\
"""Is it round, is it red, or both?"""

import numpy as np
import torch
from torch import nn


def data(split):
    draw = np.random.default_rng({"train": 1, "validation": 2, "test": 3}[split])
    labels = draw.integers(0, 2, (300, 2))
    return (labels + draw.normal(0, 0.2, (300, 2))).astype("float32"), labels


def train(ctx):
    inputs, labels = data("train")
    model = nn.Linear(2, 2).to(ctx.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=ctx.params["lr"])
    for _ in ctx.epochs(model=model, optimizer=optimizer):
        for x, y in ctx.batches(inputs, labels, size=32):
            loss = nn.functional.binary_cross_entropy_with_logits(model(x), y.float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ctx.progress(loss=loss)
    return model
'''
