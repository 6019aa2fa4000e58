"""What a model's answers on the test split are worth: metrics, their intervals, and resampled differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hera_workflows.learning.resampling import (
    Interval,
    grouped,
    percentile_interval,
    rate_interval,
    resample,
    stretches,
)
from hera_workflows.learning.tasks import Direction, Task
from slipway.errors import Rejected

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Answers", "difference", "direction", "interval", "share", "value"]

SEED = 20240229  # resampling is repeatable: the same files give the same verdict


@dataclass(frozen=True, slots=True)
class Answers:
    """One model's answers to the test split. Metrics below are functions of these."""

    task: Task
    output: NDArray[Any]  # (n, …) as served
    labels: NDArray[Any]  # (n, …)
    names: Sequence[str]  # classes

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, mask: NDArray[np.bool_]) -> Answers:
        """The answers to some of the samples."""
        return Answers(self.task, self.output[mask], self.labels[mask], self.names)

    def hits(self, metric: str) -> NDArray[np.bool_] | None:
        """(n,) which samples are right, where the metric is the share of those; else None."""
        statistics = self.statistics(metric) if metric == "accuracy" else None
        return statistics[:, 0] > 0 if statistics is not None and statistics.shape[1] == 1 else None

    def statistics(self, metric: str, part: slice = slice(None)) -> NDArray[np.float64]:
        """(m, k) rows of `Task.statistics`."""
        return self.task.statistics(metric, self.output[part], self.labels[part], self.names)


def direction(task: Task, metric: str) -> Direction:
    """Which way is better; per-class metrics are scores, so higher."""
    return task.METRICS.get(metric, "higher")


def value(answers: Answers, metric: str) -> float:
    """The metric; raises Rejected when it is not a finite number."""
    import math

    import numpy as np

    total = sum(answers.statistics(metric, part).sum(axis=0) for part in stretches(len(answers)))
    result = float(answers.task.combine(metric, np.asarray(total) / len(answers), answers.names))
    if not math.isfinite(result):
        raise Rejected(f"{metric} is {result} on {len(answers)} samples; look for NaN in labels or answers")
    return result


def share(answers: Answers, metric: str) -> tuple[int, int] | None:
    """(right, of how many) for precision, recall and F1 of classes or entities, classes added up; None for all others.

    F1 is a share of the mean of what was predicted and what is true.
    """
    import math

    import numpy as np

    kind = metric.removeprefix("macro_").removeprefix("entity_").partition("[")[0]
    if kind not in ("precision", "recall", "f1"):
        return None
    sums = np.sum([answers.statistics(metric, part).sum(axis=0) for part in stretches(len(answers))], axis=0)
    right, said, true = (float(each.sum()) for each in np.split(sums[: len(sums) // 3 * 3], 3))
    return round(right), math.ceil({"precision": said, "recall": true, "f1": (said + true) / 2}[kind])


def interval(answers: Answers, metric: str, confidence: float) -> Interval | None:
    """The confidence interval of the metric, by resampling (Wilson's for a rate); None where that has no meaning."""
    import numpy as np

    if metric in answers.task.UNPAIRED or len(answers) < 2:
        return None
    if (right := answers.hits(metric)) is not None:
        return rate_interval(int(right.sum()), len(answers), confidence)
    sums = grouped(lambda part: answers.statistics(metric, part), len(answers), SEED)
    values = [answers.task.combine(metric, means, answers.names) for means in resample(sums, len(answers), SEED)]
    return percentile_interval(np.concatenate(values), confidence)


def difference(candidate: Answers, champion: Answers, metric: str) -> NDArray[np.float64]:
    """Resampled candidate - champion on the same samples, drawn together."""
    import numpy as np

    task, names = candidate.task, candidate.names

    def both(part: slice) -> NDArray[np.float64]:
        return np.concatenate([candidate.statistics(metric, part), champion.statistics(metric, part)], axis=1)

    values = []
    for means in resample(grouped(both, len(candidate), SEED), len(candidate), SEED):
        left, right = np.split(means, 2, axis=1)
        values.append(task.combine(metric, left, names) - task.combine(metric, right, names))
    return np.concatenate(values)
