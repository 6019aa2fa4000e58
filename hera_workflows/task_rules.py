"""Does what a model.yaml asks for make sense for its task type?"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from hera_workflows.learning.tasks import Task, load_task, task_names
from hera_workflows.yaml_marks import Marked, Path, Problem, did_you_mean, shown
from slipway.threshold import parse_threshold

__all__ = ["task_problems"]

_CLASS_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")


def task_problems(marked: Marked, value: Mapping[str, Any]) -> list[Problem]:
    """What in a model.yaml its task type does not know, or what would decide nothing; no task, no problems."""
    name = value.get("task")
    if not isinstance(name, str):
        return []
    if name not in task_names():
        return [
            Problem(*marked.place(("task",)), f"task: {shown(name)} is unknown; {did_you_mean(name, task_names())}")
        ]
    task = load_task(name)
    problems = _class_problems(marked, task, value.get("classes"))
    gates = value.get("gates")
    if not isinstance(gates, dict):
        return problems
    classes = value.get("classes") if isinstance(value.get("classes"), list) else None
    for key, limit in gates.items():
        if key not in ("champion", "slices"):
            path: Path = ("gates", key)
            problems += _metric_problems(marked, task, key, classes, marked.place(path, key=True))
            problems += _limit_problems(marked, task, key, limit, path)
    champion = gates.get("champion")
    if isinstance(champion, dict):
        if isinstance(metric := champion.get("metric"), str):
            path = ("gates", "champion", "metric")
            problems += _metric_problems(marked, task, metric, classes, marked.place(path), paired=True)
        problems += _margin_problems(marked, task, champion.get("margin"))
    slices = gates.get("slices")
    for column, gate in slices.items() if isinstance(slices, dict) else ():
        path = ("gates", "slices", column)
        metric = gate.get("metric") if isinstance(gate, dict) else None
        if isinstance(metric, str):
            problems += _metric_problems(marked, task, metric, classes, marked.place((*path, "metric")), paired=True)
        limit = gate.get("threshold") if isinstance(gate, dict) else gate
        chosen = metric if isinstance(metric, str) else task.PRIMARY
        problems += _limit_problems(marked, task, chosen, limit, path)
    return problems


def _class_problems(marked: Marked, task: Task, classes: Any) -> list[Problem]:
    path: Path = ("classes",)
    if classes is not None and not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
        return []
    problems = [Problem(*marked.place(path), text) for text in task.check_classes(classes)]
    seen: set[str] = set()
    for index, name in enumerate(classes or ()):
        place = marked.place((*path, index))
        if not name or len(name) > 100 or not name.isprintable() or any(mark in name for mark in "[]"):
            problems.append(
                Problem(*place, f"class {shown(name)} is not 1 to 100 printable characters without brackets; rename it")
            )
        if name in seen:
            problems.append(Problem(*place, f"class {shown(name)} is listed twice; keep one"))
        seen.add(name)
    return problems


def _metric_problems(
    marked: Marked, task: Task, metric: str, classes: list[Any] | None, place: tuple[int, int], *, paired: bool = False
) -> list[Problem]:
    base, bracket, rest = metric.partition("[")
    known = [name for name in task.METRICS if not paired or name not in task.UNPAIRED]
    if not bracket and metric in known:
        return []
    if bracket and base in task.PER_CLASS and rest.endswith("]"):
        if classes is None:
            # `classes` that are no list are said already; where there are none, numbers are the names.
            if marked.value.get("classes") is not None or _CLASS_NUMBER.fullmatch(rest[:-1]):
                return []
            near = "list the names in `classes`, or write a number from 0"
            return [Problem(*place, f"{shown(metric)}: no class {shown(rest[:-1])}; {near}")]
        if rest[:-1] in classes:
            return []
        near = did_you_mean(rest[:-1], [str(name) for name in classes])
        return [Problem(*place, f"{shown(metric)}: no class {shown(rest[:-1])}; {near}")]
    valid = [*known, *(f"{name}[CLASS]" for name in task.PER_CLASS)]
    close = difflib.get_close_matches(metric, [*known, "champion", "slices"], n=1, cutoff=0.6)
    hint = f"did you mean {close[0]}? " if close else ""
    return [Problem(*place, f"{shown(metric)} is not a metric of {task.NAME}; {hint}write one of {', '.join(valid)}")]


def _limit_problems(marked: Marked, task: Task, metric: str, limit: Any, path: Path) -> list[Problem]:
    direction = task.METRICS.get(metric) or ("higher" if "[" in metric else None)
    try:
        threshold = parse_threshold(limit)
    except ValueError:
        return []  # which is said already
    right, example = (">=", 0.95) if direction == "higher" else ("<=", 0.05)
    if direction is not None and threshold.comparison != right:
        what = f"{metric} is better when {direction}, so {limit!r} asks for a bad model; write {right}"
    elif direction is not None and task.CLASSIFIES and not 0 <= threshold.value <= 1:
        what = f"{metric} lies between 0 and 1, so {limit!r} decides nothing; write a share such as {right} {example}"
    else:
        return []
    return [Problem(*marked.place(path), what)]


def _margin_problems(marked: Marked, task: Task, margin: Any) -> list[Problem]:
    if not task.CLASSIFIES or not isinstance(margin, int | float) or margin < 1:
        return []
    what = f"margin: {shown(margin)} allows any loss of a metric between 0 and 1; write a share such as 0.01"
    return [Problem(*marked.place(("gates", "champion", "margin")), what)]
