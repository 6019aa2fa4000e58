"""What do the splits of a model.py hold, and what is wrong with them?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from hera_workflows.learning import dataset, people
from hera_workflows.learning.dataset import SPLITS, Split
from hera_workflows.learning.tasks import load_task
from hera_workflows.learning.text import is_text
from slipway.errors import Rejected
from slipway.spec import ModelSpec

__all__ = ["class_counts", "read_splits", "slice_counts"]


def read_splits(
    spec: ModelSpec, file: Path, root: Path, sets: dict[str, Any], keep: Callable[[str, Split], None]
) -> Callable[[Any], Any]:
    """Check every split of model.py and hand each to `keep`; returns its train function.

    Raises Rejected with every problem found, one a line.
    """
    module = people.load(file, root)
    data, fit = people.functions(module, file, root)
    given_sets = [sets] if people.takes_sets(data) else []
    task, problems, shapes = load_task(spec.task), [], {}
    where = file.relative_to(root)
    for name in SPLITS:
        try:
            given = people.call(partial(data, name, *given_sets), f'data("{name}")', file, root)
            if given is None and name == "validation":
                continue
            split = dataset.split_of(given, name)
        except Rejected as error:
            text = str(error)
            problems.append(text if text.startswith(str(where)) else f"{where}: {text}")
            continue
        found = dataset.problems(split, name, task, spec.classes) or _missing_classes(split, name, spec)
        problems += [f"{where}: {text}" for text in found]
        shapes[name] = {
            key: (array.shape[1:], "text" if is_text(array) else str(array.dtype))
            for key, array in split.inputs.items()
        }
        if name == "test" and not found:
            problems += [f"{where}: {text}" for text in _missing_slices(split, spec)]
        if not found and not problems:
            keep(name, split)
    if "train" in shapes and "test" in shapes and shapes["train"] != shapes["test"]:
        problems.append(f"{where}: inputs of train are {shapes['train']} and of test {shapes['test']}; make them agree")
    if problems:
        raise Rejected("\n".join(problems))
    return fit


def _missing_classes(split: Split, name: str, spec: ModelSpec) -> list[str]:
    # Of tokens, a small split may well hold no kind of name that continues.
    if split.labels.ndim != 1 or not spec.classes:
        return []
    missing = [each for each, count in class_counts(split, spec).items() if not count]
    return [f'data("{name}") has no sample of {", ".join(missing)}; add some, or correct the split'] if missing else []


def _missing_slices(test: Split, spec: ModelSpec) -> list[str]:
    have = ", ".join(test.slices) or "none"
    return [
        f'data("test") has no slice column {name!r} (it has {have}), which model.yaml gates; return it as third value'
        for name in spec.gates.slices
        if name not in test.slices
    ]


def class_counts(split: Split, spec: ModelSpec) -> dict[str, int]:
    """How many labels of each class a split has; nothing where the task has no classes."""
    import numpy as np

    if not load_task(spec.task).CLASSIFIES:
        return {}
    labels = np.asarray(split.labels).astype(np.int64)
    counts = np.bincount(labels[labels >= 0], minlength=len(spec.classes or ()))
    names = spec.classes or [str(index) for index in range(len(counts))]
    return {names[value]: int(count) for value, count in enumerate(counts)}


def slice_counts(test: Split) -> dict[str, dict[str, int]]:
    """How many samples each value of each slice column has."""
    import numpy as np

    counted = {name: np.unique(column, return_counts=True) for name, column in test.slices.items()}
    return {name: {str(v): int(c) for v, c in zip(*pair, strict=True)} for name, pair in counted.items()}
