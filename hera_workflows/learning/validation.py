"""Judge one trained model, from its plain-data files alone, and write down everything that was seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hera_workflows.learning import gates
from hera_workflows.learning.champion import Champion
from hera_workflows.learning.dataset import Split
from hera_workflows.learning.measured import Answers, difference, interval
from hera_workflows.learning.resampling import Interval, percentile_interval
from hera_workflows.learning.serving_gate import Served
from hera_workflows.learning.tasks import Task
from hera_workflows.learning.trained import Trained
from slipway.errors import Rejected
from slipway.manifest import MetricValue, Validation
from slipway.spec import Gates
from slipway.verdict import Check, Outcome, Verdict, outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Judged", "judge"]

INTERVALS_FOR = 12  # metrics with an interval: the global ones and the first gated per-class ones
SHOWN = 20  # class names in a message


@dataclass(frozen=True, slots=True)
class Judged:
    """The validation, and what the report shows beside it."""

    validation: Validation
    slices: list[gates.SliceResult]
    confusion: list[list[int]] | None
    class_names: list[str]
    champion: Champion | None
    champion_result: gates.ChampionResult | None
    samples: int
    latencies_ms: tuple[float, ...] = field(default=())


def judge(
    trained: Trained, task: Task, test: Split, output: NDArray[Any], champion: Champion | None, served: Served
) -> Judged:
    """Put every gate to the candidate's answers.

    Raises Rejected when they or their metrics are not numbers, or a gate names a class that they do not have.
    """
    spec = trained.spec
    if problems := task.check_output(output, test.labels, spec.classes):
        raise Rejected("; ".join(problems))
    answers = Answers(task, output, test.labels, task.class_names(output, spec.classes))
    if problems := _unknown_classes(trained.spec.gates, task, answers.names):
        raise Rejected("; ".join(problems))
    evaluation = task.evaluate(output, test.labels, answers.names)
    metrics: dict[str, float] = evaluation["metrics"]
    for name, number in metrics.items():
        if not math.isfinite(number):
            raise Rejected(f"{name} is {number} on the test split; look for NaN in labels or too few samples")
    confidence = spec.gates.champion.confidence
    slices = gates.slices(spec.gates.slices, answers, test.slices, confidence)
    result, champion_checks = _champion(trained, answers, champion)
    checks = [
        *gates.absolute(spec.gates.metrics, metrics),
        *(each.check for each in slices if each.check),
        *gates.unjudged(slices),
        *champion_checks,
        *served.checks,
    ]
    validation = Validation(
        outcome=outcome(checks),
        checks=checks,
        metrics=_metric_values(answers, metrics, champion, result, [*spec.gates.metrics], confidence),
        champion=champion.name if champion else None,
        p95_ms=served.p95_ms,
        throughput=served.throughput,
        samples_to_settle=result.samples_to_settle if result else None,
        files=served.files,
    )
    return Judged(
        validation, slices, evaluation.get("confusion"), list(answers.names), champion, result, len(test),
        served.latencies_ms,
    )  # fmt: skip


def _champion(
    trained: Trained, answers: Answers, champion: Champion | None
) -> tuple[gates.ChampionResult | None, list[Check]]:
    if champion is None:
        reason = "the first version: the first environment serves none to compare with"
        return None, [Check(name="champion", verdict=Verdict.PASS, reason=reason)]
    if problem := _not_comparable(champion, answers, trained.spec.classes):
        return None, [Check(name="champion", verdict=Verdict.INSUFFICIENT_DATA, reason=problem)]
    assert champion.output is not None
    theirs = Answers(answers.task, champion.output, answers.labels, answers.names)
    result = gates.against_champion(trained.spec.gates.champion, answers, theirs, champion.name)
    if champion.same_files:
        reason = f"byte for byte the model of {champion.name}"
        check = Check(name="champion", verdict=Verdict.PASS, reason=reason, value=0.0)
        return gates.ChampionResult(
            check, result.metric, result.candidate, result.champion, Interval(0.0, 0.0), None
        ), [check]
    return result, [result.check]


def _not_comparable(champion: Champion, answers: Answers, classes: Sequence[str] | None) -> str | None:
    """Why the champion's answers say nothing about the candidate's, which may be what repairs it."""
    import numpy as np

    if champion.output is None:
        return champion.problem or f"{champion.name} has no answers: they cannot be compared"
    if champion.output.shape != answers.output.shape:
        return f"{champion.name} answers in another shape: they cannot be compared"
    if not np.isfinite(champion.output).all():
        return f"{champion.name} answers with NaN or infinite numbers on this test split: they cannot be compared"
    if problems := answers.task.check_output(champion.output, answers.labels, classes):
        return f"{champion.name} cannot be compared: {'; '.join(problems)}"
    return None


def _unknown_classes(wanted: Gates, task: Task, names: Sequence[str]) -> list[str]:
    """A sentence for each gate on one class, such as `f1[3]`, that the model does not have."""
    metrics = [*wanted.metrics, wanted.champion.metric, *(gate.metric for gate in wanted.slices.values())]
    found = []
    for metric in dict.fromkeys(metrics):
        base, bracket, rest = (metric or "").partition("[")
        if bracket and base in task.PER_CLASS and rest.removesuffix("]") not in names:
            known = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
            found.append(f"{metric}: the model has no class {rest.removesuffix(']')}; write one of {known} in gates")
    return found


def _metric_values(
    answers: Answers,
    metrics: dict[str, float],
    champion: Champion | None,
    result: gates.ChampionResult | None,
    gated: list[str],
    confidence: float,
) -> dict[str, MetricValue]:
    theirs = (
        Answers(answers.task, champion.output, answers.labels, answers.names)
        if champion is not None and result is not None and champion.output is not None
        else None
    )
    known: dict[str, float] = {}
    if theirs is not None:
        known = theirs.task.evaluate(theirs.output, theirs.labels, theirs.names)["metrics"]
    found = {}
    wanted = [*answers.task.METRICS, *(name for name in gated if name not in answers.task.METRICS)][:INTERVALS_FOR]
    for name, number in metrics.items():
        paired = name in wanted and name not in answers.task.UNPAIRED
        bounds = interval(answers, name, confidence) if paired else None
        gap: Interval | None = None
        if theirs is not None and paired:
            if result is not None and result.metric == name:
                gap = result.bounds
            else:
                gap = percentile_interval(difference(answers, theirs, name), confidence)
        found[name] = MetricValue(
            value=number,
            low=bounds.low if bounds else None,
            high=bounds.high if bounds else None,
            champion=known.get(name),
            difference_low=gap.low if gap else None,
            difference_high=gap.high if gap else None,
        )
    return found


def verdict_line(outcome: Outcome, checks: list[Check]) -> str:
    """One sentence that says why."""
    failed = [check for check in checks if check.verdict is Verdict.FAIL]
    open_ = [check for check in checks if check.verdict not in (Verdict.FAIL, Verdict.PASS)]
    if outcome is Outcome.PASS:
        return f"All {len(checks)} checks passed."
    chosen = failed or open_
    more = f" (and {len(chosen) - 1} more)" if len(chosen) > 1 else ""
    if not chosen:
        return "Nothing was checked."
    return f"{chosen[0].name[:1].upper()}{chosen[0].name[1:]}: {chosen[0].reason}{more}."


def write_json(validation: Validation, path: Path) -> None:
    """Write a verdict in one step, as validate keeps it for publish."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(validation.model_dump_json(indent=2) + "\n")
    partial.replace(path)
