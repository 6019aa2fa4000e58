"""Which task types there are, and what each must provide: one module here is one task type.

A module's name with - for _ is the name in model.yaml. Modules import nothing heavy at their top, because
`slipway check` reads their names and metrics.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from slipway.errors import Rejected

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Direction", "Evaluation", "Task", "load_task", "task_names"]

Direction = Literal["higher", "lower"]
Evaluation = dict[str, Any]


class Task(Protocol):
    """What a task type knows. Arrays: first axis is samples; `p` is the served output, `y` the labels."""

    NAME: str
    OUTPUT: str  # the name of the served output tensor
    CLASSIFIES: bool  # labels are class numbers
    METRICS: Mapping[str, Direction]  # every global metric and which way is better
    PER_CLASS: Sequence[str]  # metrics that gates may name as metric[class]
    UNPAIRED: Sequence[str]  # metrics that no resampling can compare (an extreme value, not a mean)
    PRIMARY: str  # the metric that gates mean when they name none
    EXAMPLE_YAML: str  # model.yaml of `slipway init`, with {name}
    EXAMPLE_PY: str  # model.py of `slipway init`

    def head(self, module: Any, *, keywords: bool) -> Any:
        """The torch module to serve: inputs by name → OUTPUT as float32."""

    def check_classes(self, classes: Sequence[str] | None) -> list[str]:
        """What is wrong with `classes` of model.yaml (names that are text and all different), as sentences."""

    def check_labels(self, labels: NDArray[Any], classes: Sequence[str] | None) -> list[str]:
        """What is wrong with labels, as sentences; empty when all is well."""

    def check_output(self, output: NDArray[Any], labels: NDArray[Any], classes: Sequence[str] | None) -> list[str]:
        """What is wrong with the shape or the values of the served output."""

    def class_names(self, output: NDArray[Any], classes: Sequence[str] | None) -> list[str]:
        """The names of the classes, in the order of their number; empty without classes."""

    def statistics(self, metric: str, p: NDArray[Any], y: NDArray[Any], names: Sequence[str]) -> NDArray[np.float64]:
        """(n, k): per-sample numbers whose means decide the metric, so that it can be resampled."""

    def combine(self, metric: str, means: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
        """(…, k) means of `statistics` → (…,) values of the metric."""

    def evaluate(self, p: NDArray[Any], y: NDArray[Any], names: Sequence[str]) -> Evaluation:
        """`metrics` by name (per-class ones as metric[class]) and, with classes, `confusion`."""


@cache
def task_names() -> tuple[str, ...]:
    """The names that `task:` may have, sorted."""
    return tuple(sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__)))


def load_task(name: str) -> Task:
    """The task type of that name; raises Rejected if there is none."""
    if name not in task_names():
        raise Rejected(f"task {name[:80]!r} is unknown; write one of {', '.join(task_names())}")
    return cast(Task, importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))
