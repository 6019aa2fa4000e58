"""Decide whether a candidate is good enough, on every slice too, and no worse than what is served now.

Pure. The rules, with c the confidence (0.95 unless model.yaml says otherwise):

absolute   PASS when the measured number meets the limit, else FAIL.
slices     Values of a column with fewer than min_samples, or with nothing that the metric counts (the recall of a
           class that does not occur), are not judged. A value that meets the limit passes. One
           that misses it is FAIL when it misses significantly (one-sided, Holm over all slices together, level 1 - c),
           else it is INSUFFICIENT_DATA.
champion   With d the improvement over the champion on the same samples, and its two-sided interval at c:
           PASS when the lower bound is >= -margin (it is not worse by more than the margin);
           else FAIL when the upper bound is < 0 (it is worse); for accuracy McNemar's exact test decides this;
           else INSUFFICIENT_DATA, with the number of samples that would settle it.
           So an equal model fails, and one worse by more than the margin passes, with at most (1 - c) / 2 chance.

A FAIL anywhere is FAIL; else anything undecided is INCONCLUSIVE; else PASS.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hera_workflows.learning.measured import Answers, difference, direction, interval, share, value
from hera_workflows.learning.resampling import (
    Interval,
    binomial_below,
    holm,
    mcnemar_worse,
    percentile_interval,
    score_interval,
)
from slipway.spec import ChampionGate, SliceGate
from slipway.threshold import Threshold
from slipway.verdict import Check, Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ChampionResult", "SliceResult", "absolute", "against_champion", "slices"]

MIN_PAIRS = 20  # fewer samples say nothing about a difference, whatever resampling makes of them


@dataclass(frozen=True, slots=True)
class SliceResult:
    """One value of a slice column."""

    column: str
    value: str
    metric: str
    samples: int
    measured: float | None  # None: not judged
    bounds: Interval | None
    check: Check | None  # None: not judged


@dataclass(frozen=True, slots=True)
class ChampionResult:
    """The comparison with the champion; numbers are candidate - champion in the metric's own unit."""

    check: Check
    metric: str
    candidate: float
    champion: float
    bounds: Interval | None
    samples_to_settle: int | None


def absolute(limits: Mapping[str, Threshold], metrics: Mapping[str, float]) -> list[Check]:
    """One check for each limit."""
    checks = []
    for name, limit in limits.items():
        measured = metrics.get(name)
        if measured is None or not math.isfinite(measured):
            checks.append(Check(name=name, verdict=Verdict.NO_DATA, reason=f"{name} could not be measured"))
            continue
        verdict = Verdict.PASS if limit.met_by(measured) else Verdict.FAIL
        reason = f"{_number(measured, limit)}; {limit} needed"
        checks.append(Check(name=name, verdict=verdict, reason=reason, value=measured, threshold=str(limit)))
    return checks


def slices(
    gates: Mapping[str, SliceGate], answers: Answers, columns: Mapping[str, NDArray[np.str_]], confidence: float
) -> list[SliceResult]:
    """Every value of every gated column, worst first within a column."""
    import numpy as np

    found: list[tuple[SliceGate, SliceResult]] = []
    p_values: list[float] = []
    for column, gate in gates.items():
        metric = gate.metric or answers.task.PRIMARY
        for name in np.unique(columns[column]):
            part = answers.take(columns[column] == name)
            counts = share(part, metric)
            if len(part) < gate.min_samples or (counts is not None and counts[1] == 0):
                found.append((gate, SliceResult(column, str(name), metric, len(part), None, None, None)))
                p_values.append(1.0)
                continue
            measured = value(part, metric)
            bounds = interval(part, metric, confidence)
            found.append((gate, SliceResult(column, str(name), metric, len(part), measured, bounds, None)))
            p_values.append(_p_of_missing(part, metric, gate.threshold))
    judged = [index for index, (_, result) in enumerate(found) if result.measured is not None]
    significant = dict(zip(judged, holm([p_values[index] for index in judged], 1 - confidence), strict=True))
    results = [
        result if result.measured is None else _with_check(result, gate, significant[index])
        for index, (gate, result) in enumerate(found)
    ]
    sign = {column: 1 if _higher(answers, gate) else -1 for column, gate in gates.items()}
    order = list(gates)
    return sorted(
        results,
        key=lambda r: (order.index(r.column), math.inf if r.measured is None else sign[r.column] * r.measured, r.value),
    )


def _higher(answers: Answers, gate: SliceGate) -> bool:
    return direction(answers.task, gate.metric or answers.task.PRIMARY) == "higher"


def unjudged(results: Sequence[SliceResult]) -> list[Check]:
    """A check for each column of which not one value could be judged: no measurement never passes."""
    columns = {result.column for result in results} - {result.column for result in results if result.check}
    return [
        Check(
            name=f"slice {column}",
            verdict=Verdict.INSUFFICIENT_DATA,
            reason="no value has min_samples samples with what is measured; collect more or lower min_samples",
        )
        for column in sorted(columns)
    ]


def _p_of_missing(part: Answers, metric: str, limit: Threshold) -> float:
    """The one-sided p value that the slice meets the limit; small means that it misses it."""
    if (right := part.hits(metric)) is not None:
        return binomial_below(int(right.sum()), len(part), min(1.0, max(0.0, limit.value)))
    bounds_at = interval(part, metric, 0.6826894921)  # ± one standard error
    measured = value(part, metric)
    if bounds_at is None or bounds_at.high <= bounds_at.low:
        if (counts := share(part, metric)) is not None:
            # Not one of three found: resampled it is 0 each time, and yet three are few.
            return binomial_below(*counts, min(1.0, max(0.0, limit.value)))
        return 0.0 if not limit.met_by(measured) else 1.0
    gap = (measured - limit.value) * (1 if limit.comparison == ">=" else -1)
    return 0.5 * math.erfc(-gap / ((bounds_at.high - bounds_at.low) / 2) / math.sqrt(2))


def _with_check(result: SliceResult, gate: SliceGate, significant: bool) -> SliceResult:
    assert result.measured is not None
    limit = gate.threshold
    if limit.met_by(result.measured):
        verdict, note = Verdict.PASS, ""
    elif significant:
        verdict, note = Verdict.FAIL, ""
    else:
        verdict, note = Verdict.INSUFFICIENT_DATA, ", which may be chance"
    check = Check(
        name=f"slice {result.column}={result.value}",
        verdict=verdict,
        reason=f"{result.metric} {_number(result.measured, limit)} on {result.samples} samples{note}; {limit} needed",
        value=result.measured,
        threshold=str(limit),
    )
    return SliceResult(
        result.column, result.value, result.metric, result.samples, result.measured, result.bounds, check
    )


def against_champion(gate: ChampionGate, candidate: Answers, champion: Answers, name: str) -> ChampionResult:
    """Compare two models on the same samples; `name` is the champion's, such as `digits@3`."""
    metric = gate.metric or candidate.task.PRIMARY
    ours, theirs = value(candidate, metric), value(champion, metric)
    higher = direction(candidate.task, metric) == "higher"
    count = len(candidate)
    sign = 1 if higher else -1
    gain, bounds, worse = sign * (ours - theirs), None, False
    mine, other = candidate.hits(metric), champion.hits(metric)
    if count < MIN_PAIRS:
        pass
    elif mine is not None and other is not None:
        ups, downs = int((mine & ~other).sum()), int((other & ~mine).sum())
        bounds = score_interval(ups, downs, count, gate.confidence)
        worse = mcnemar_worse(ups, downs) <= (1 - gate.confidence) / 2
    else:
        bounds = percentile_interval(sign * difference(candidate, champion, metric), gate.confidence)
        worse = bounds is not None and bounds.high < 0
    reason = f"{metric} {ours:.4g}, {name} has {theirs:.4g}"
    if bounds is None:
        verdict, needed = Verdict.INSUFFICIENT_DATA, None
        reason += f"; {count} samples say nothing about the difference; {MIN_PAIRS} needed"
    else:
        reason += f"; improvement {gain:+.4f} [{bounds.low:+.4f}, {bounds.high:+.4f}], margin {gate.margin:g}"
        needed = None
        if bounds.low >= -gate.margin:
            verdict = Verdict.PASS
        elif worse:
            verdict = Verdict.FAIL
        else:
            verdict = Verdict.INSUFFICIENT_DATA
            needed = samples_to_settle(gain, bounds, count, gate.margin)
            reason += f"; about {needed} test samples would settle it" if needed else "; give it a margin above 0"
    check = Check(
        name="champion",
        verdict=verdict,
        reason=reason,
        value=ours - theirs,
        threshold=f"lower bound >= {-gate.margin:g}" if higher else f"upper bound <= {gate.margin:g}",
    )
    shown = bounds if bounds is None or higher else Interval(-bounds.high, -bounds.low)
    return ChampionResult(check, metric, ours, theirs, shown, needed)


def samples_to_settle(gain: float, bounds: Interval, count: int, margin: float) -> int | None:
    """How many samples make the interval narrow enough to pass or to fail, if the gain stays what it is; None: none do.

    The width falls with the root of the number of samples.
    """
    half = (bounds.high - bounds.low) / 2
    room = max(gain + margin, -gain)
    if room <= 0 or not math.isfinite(half):
        return None
    needed = count * (half / room) ** 2
    return max(count + 1, math.ceil(needed)) if needed < 1e12 else None


def _number(measured: float, limit: Threshold) -> str:
    """Four digits, or as many as show on which side of the limit the number lies."""
    for digits in range(4, 17):
        text = f"{measured:.{digits}g}"
        if limit.met_by(float(text)) == limit.met_by(measured):
            return text
    return repr(measured)
