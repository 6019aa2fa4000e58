"""One self-contained page that says whether a model is good enough, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hera_workflows.learning.figures import latency_histogram, training_curve
from hera_workflows.learning.measured import direction
from hera_workflows.learning.tasks import Task, load_task
from hera_workflows.learning.trained import Trained
from hera_workflows.learning.validation import Judged, verdict_line
from slipway.manifest import MetricValue

__all__ = ["render_report"]

_TITLES = {"PASS": "Good to go", "FAIL": "Refused", "INCONCLUSIVE": "Not sure yet"}
MATRIX_CLASSES = 16  # more classes than this are shown as a list of the commonest confusions
TABLE_CLASSES = 60


@dataclass(frozen=True, slots=True)
class Bar:
    """An interval on an axis; places are in percent of the axis."""

    point: float
    low: float | None
    high: float | None
    champion: float | None
    limit: float | None
    left: str  # what the axis begins and ends with
    right: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table of metrics or slices."""

    name: str
    note: str
    value: str
    interval: str
    champion: str
    difference: str
    verdict: str
    bar: Bar | None


def render_report(trained: Trained, judged: Judged) -> str:
    """The HTML of report.html: no script, no request, inline styles and SVG only; names and values are escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["signs"] = _signs
    task, validation = load_task(trained.spec.task), judged.validation
    return environment.get_template("report.html.j2").render(
        spec=trained.spec,
        trained=trained,
        judged=judged,
        validation=validation,
        outcome=validation.outcome.value,
        title=_TITLES[validation.outcome.value],
        reason=verdict_line(validation.outcome, validation.checks),
        primary=_words(task.PRIMARY),
        primary_value=_number(validation.metrics[task.PRIMARY].value),
        metrics=_metric_rows(task, judged, trained),
        classes=_class_rows(judged, trained),
        slices=_slice_rows(judged, trained, task),
        gap=_gap(judged, task, trained.spec.gates.champion.margin),
        confusion=_confusion(judged),
        confusions=_commonest(judged),
        curve=training_curve(trained.training["curve"]) if trained.training.get("curve") else "",
        latency=latency_histogram(judged.latencies_ms, validation.p95_ms) if judged.latencies_ms else "",
        number=_number,
        confidence=f"{trained.spec.gates.champion.confidence * 100:g} %",
    )


def _metric_rows(task: Task, judged: Judged, trained: Trained) -> list[Row]:
    checks = {check.name: check for check in judged.validation.checks}
    limits = trained.spec.gates.metrics
    rows = []
    for name in [*task.METRICS, *(name for name in limits if name not in task.METRICS)]:
        measured = judged.validation.metrics.get(name)
        if measured is None:
            continue
        limit = limits[name].value if name in limits else None
        gap = measured.value - measured.champion if measured.champion is not None else None
        rows.append(
            Row(
                name=_words(name),
                note=f"{limits[name]} needed" if name in limits else f"{direction(task, name)} is better",
                value=_number(measured.value),
                interval=_range(measured.low, measured.high),
                champion=_number(measured.champion),
                difference=f"{gap:+.4f}" if gap is not None else "",
                verdict=checks[name].verdict.value if name in checks else "",
                bar=_bar(measured, limit, direction(task, name) == "higher" or name == "calibration_error"),
            )
        )
    return rows


def _class_rows(judged: Judged, trained: Trained) -> list[list[str]]:
    metrics, counts = judged.validation.metrics, trained.data.classes
    return [
        [name, str(counts.get(name, 0)), *(_number(metrics[f"{kind}[{name}]"].value) for kind in _KINDS)]
        for name in judged.class_names[:TABLE_CLASSES]
        if f"f1[{name}]" in metrics
    ]


_KINDS = ("precision", "recall", "f1")


def _slice_rows(judged: Judged, trained: Trained, task: Task) -> list[Row]:
    rows = []
    for result in judged.slices:
        gate = trained.spec.gates.slices[result.column]
        bounds = result.bounds
        value = (
            MetricValue(value=result.measured, low=bounds.low if bounds else None, high=bounds.high if bounds else None)
            if result.measured is not None
            else None
        )
        rows.append(
            Row(
                name=f"{result.column} = {result.value}",
                note=f"{result.samples} samples",
                value=_number(result.measured) if value else "",
                interval=_range(value.low, value.high) if value else f"not judged below {gate.min_samples} samples",
                champion="",
                difference=f"{_words(result.metric)} {gate.threshold} needed",
                verdict=result.check.verdict.value if result.check else "",
                bar=_bar(value, gate.threshold.value, direction(task, result.metric) == "higher") if value else None,
            )
        )
    return rows


def _bar(measured: MetricValue, limit: float | None, share: bool) -> Bar | None:
    """Places on an axis that shows every number of the row; a share's axis never leaves [0, 1]."""
    given = [measured.value, measured.low, measured.high, measured.champion, limit]
    numbers = [number for number in given if number is not None]
    low, high = min(numbers), max(numbers)
    if measured.low is None:
        return None
    pad = (high - low or abs(high) or 1.0) * 0.15
    low, high = low - pad, high + pad
    if share:
        low, high = max(low, min(0.0, min(numbers))), min(high, max(1.0, max(numbers)))

    def place(number: float | None) -> float | None:
        return None if number is None else round(100 * (number - low) / (high - low), 2)

    point = place(measured.value)
    assert point is not None
    return Bar(
        point=point,
        low=place(measured.low),
        high=place(measured.high),
        champion=place(measured.champion),
        limit=place(limit),
        left=_short(low),
        right=_short(high),
    )


@dataclass(frozen=True, slots=True)
class Gap:
    """The difference from the champion on an axis around 0; places in percent."""

    metric: str
    champion: str
    text: str
    zero: float
    margin: float
    point: float
    low: float
    high: float
    margin_text: str
    needed: int | None


def _gap(judged: Judged, task: Task, margin: float) -> Gap | None:
    """Improvements point to the right whichever way the metric counts."""
    result, champion = judged.champion_result, judged.champion
    if result is None or result.bounds is None or champion is None:
        return None
    sign = 1 if direction(task, result.metric) == "higher" else -1
    low, high = sorted((sign * result.bounds.low, sign * result.bounds.high))
    point = sign * (result.candidate - result.champion)
    reach = 1.15 * max(abs(low), abs(high), margin, abs(point), 1e-9)

    def place(number: float) -> float:
        return round(50 + 50 * number / reach, 2)

    return Gap(
        metric=_words(result.metric),
        champion=champion.name,
        text=f"{point:+.4f}  [{low:+.4f}, {high:+.4f}]",
        zero=50.0,
        margin=place(-margin),
        point=place(point),
        low=place(low),
        high=place(high),
        margin_text=f"−{margin:g}",
        needed=result.samples_to_settle,
    )


def _confusion(judged: Judged) -> list[dict[str, Any]] | None:
    """Rows of the matrix with each cell's share of its row; None where it would be too large to read."""
    if not judged.confusion or len(judged.confusion) > MATRIX_CLASSES:
        return None
    rows = []
    for name, counts in zip(judged.class_names, judged.confusion, strict=True):
        total = max(1, sum(counts))
        rows.append({"name": name, "cells": [(count, round(100 * count / total)) for count in counts]})
    return rows


def _commonest(judged: Judged) -> list[tuple[int, str, str]]:
    """(count, truth, prediction) of the most frequent mistakes."""
    wrong = [
        (count, judged.class_names[truth], judged.class_names[said])
        for truth, counts in enumerate(judged.confusion or [])
        for said, count in enumerate(counts)
        if truth != said and count
    ]
    return sorted(wrong, key=lambda item: -item[0])[:8]


def _words(metric: str) -> str:
    base, bracket, rest = metric.partition("[")
    words = base.replace("_", " ").replace("f1", "F1").replace("r2", "R²")
    return (words[:1].upper() + words[1:]) + (f" of {rest[:-1]}" if bracket else "")


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.2f}" if abs(value) < 10_000 else f"{value:.4g}"


def _signs(text: str) -> str:
    """The same text as it is printed in books: ≥, ≤ and a real minus."""
    return re.sub(r"(?<![\w.])-(?=[\d.])", "−", text.replace(">=", "≥").replace("<=", "≤"))


def _short(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.3g}"


def _range(low: float | None, high: float | None) -> str:
    return f"{_number(low)} – {_number(high)}" if low is not None and high is not None else ""
