"""Which model a model.yaml describes, and everything that is wrong with it, by line and column."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from hera_workflows.learning.tasks import Task, load_task, task_names
from hera_workflows.yaml_marks import Marked, Path, Problem, parse_marked
from slipway.errors import Rejected
from slipway.spec import ModelSpec
from slipway.threshold import parse_threshold

__all__ = ["ModelSpec", "read_spec", "schema"]


def read_spec(content: bytes | str, where: str) -> ModelSpec:
    """The model that `content` describes; `where` is the path that messages show.

    Raises Rejected with every error, one a line: `where:line:column: what; what to write instead`.
    """
    spec, problems = _read(content)
    if spec is None or problems:
        raise Rejected("\n".join(problem.at(where) for problem in problems))
    return spec


def schema() -> dict[str, Any]:
    """The JSON Schema of model.yaml, with the task types that are installed."""
    result = ModelSpec.model_json_schema()
    result["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    result["title"] = "model.yaml"
    result["properties"]["task"] |= {"enum": list(task_names())}
    # The short form `writer: ">= 0.90"` that people write.
    slices = result["$defs"]["Gates"]["properties"]["slices"]
    slices["additionalProperties"] = {
        "anyOf": [slices["additionalProperties"], {"type": "string", "pattern": r"^\s*(>=|<=)\s*\S+\s*$"}]
    }
    return result


def _read(content: bytes | str) -> tuple[ModelSpec | None, list[Problem]]:
    marked = parse_marked(content)
    if marked.value is None:
        return None, marked.problems or [Problem(1, 1, "the file is empty; write `name: …` and `task: …`")]
    if not isinstance(marked.value, dict):
        return None, [*marked.problems, Problem(1, 1, "not a mapping; write `name: …`, `task: …` line by line")]
    spec, problems = None, list(marked.problems)
    # A section that is only commented out (`train:`) means its defaults, not null.
    value = {key: item for key, item in marked.value.items() if item is not None or key in ("name", "task")}
    try:
        spec = ModelSpec.model_validate(value)
    except ValidationError as error:
        problems += [_problem(marked, dict(details)) for details in error.errors()]
    problems += _task_problems(marked, value)
    if value.get("name") in _TAKEN:
        what = f"name: {_shown(value['name'])} is taken: a run keeps the pushed files under it; choose another name"
        problems.append(Problem(*marked.place(("name",)), what))
    unique = sorted(set(problems), key=lambda problem: (problem.line, problem.column))
    return (None if unique else spec), unique


# Beside the folders of a run's models lies that of the pushed tree.
_TAKEN = ("source",)
_CLASS_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
_SHORT = {
    "string_pattern_mismatch": "has characters or a length that are not allowed",
    "int_parsing": "is not a whole number",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_type": "is not a number",
    "float_parsing": "is not a number",
    "string_type": "is not text",
    "list_type": "is not a list",
    "dict_type": "is not a mapping",
    "model_type": "is not a mapping",
}
_INSTEAD = {
    "digest": "write sha256: and 64 hexadecimal digits, or leave it out once to be told",
    "url": "write it without spaces, escaped as a browser shows it",
    "max_size": "write a size such as 500M or 20Gi",
    "name": "use 1 to 63 of a-z, 0-9, _ and -, starting with a letter or digit",
    "task": "use one of the task types",
    "cpu": "write a quantity such as 500m or 2",
    "memory": "write a size such as 500M or 2Gi",
    "ephemeral_storage": "write a size such as 500M or 2Gi",
    "string_type": "put it in quotes",
    "int_type": "write digits only",
    "int_parsing": "write digits only",
    "int_from_float": "write digits only",
    "float_type": "write a number such as 0.01",
    "float_parsing": "write a number such as 0.01",
    "list_type": "write [a, b, c]",
    "dict_type": "write `key: value` lines, indented",
    "model_type": "write `key: value` lines, indented",
}


def _problem(marked: Marked, details: dict[str, Any]) -> Problem:
    kind, message = details["type"], str(details["msg"])
    path: Path = tuple(details["loc"])
    if path not in marked.values and path[:-1] in marked.values and path[-1] in ("bool", "int", "float", "str"):
        # One error for each kind that a parameter may have; the text has one value.
        value = _shown(details["input"])
        return Problem(*marked.place(path), f"{path[-2]}: {value} is not a plain value; write a number, text or true")
    name = str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        section = _section_keys(path[:-1])
        return Problem(*marked.place(path, key=True), f"unknown key {_shown(name)}; {_did_you_mean(name, section)}")
    if kind == "missing":
        missing = str(details["loc"][-1])
        return Problem(*marked.place(path), f"{missing} is missing; add `{missing}: …`")
    place = marked.place(path)
    if kind == "value_error":
        return Problem(*place, message.removeprefix("Value error, "))
    value = _shown(details["input"])
    if kind == "literal_error":
        expected = str(details.get("ctx", {}).get("expected", "")).replace("'", "")
        return Problem(*place, f"{name}: {value} is not a choice; write {expected}")
    if kind in _SHORT:
        if kind == "string_pattern_mismatch":
            value = _shown(details["input"], ascii)  # a look-alike shown as it is would read like what is asked for
        instead = _INSTEAD.get(
            name if kind == "string_pattern_mismatch" else kind, "write what `slipway schema` allows there"
        )
        return Problem(*place, f"{name}: {value} {_SHORT[kind]}; {instead}")
    return Problem(*place, f"{name}: {value}: {message[:1].lower()}{message[1:]}; choose a value in that range")


def _shown(value: Any, spell: Callable[[Any], str] = repr) -> str:
    text = spell(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _section_keys(path: Path) -> Iterable[str]:
    node: Any = ModelSpec
    for part in path:
        fields = getattr(node, "model_fields", {})
        node = fields[part].annotation if part in fields else None
        if part == "slices":
            from slipway.spec import SliceGate

            return list(SliceGate.model_fields)
        if part == "data":
            from slipway.spec import DataSource

            return list(DataSource.model_fields)
        if part == "tolerations":
            from slipway.spec import Toleration

            return list(Toleration.model_fields)
    return [field.alias or name for name, field in getattr(node, "model_fields", {}).items()]


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"write one of {', '.join(known)}"


def _task_problems(marked: Marked, value: Mapping[str, Any]) -> list[Problem]:
    name = value.get("task")
    if not isinstance(name, str):
        return []
    if name not in task_names():
        return [
            Problem(*marked.place(("task",)), f"task: {_shown(name)} is unknown; {_did_you_mean(name, task_names())}")
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
                Problem(
                    *place, f"class {_shown(name)} is not 1 to 100 printable characters without brackets; rename it"
                )
            )
        if name in seen:
            problems.append(Problem(*place, f"class {_shown(name)} is listed twice; keep one"))
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
            return [Problem(*place, f"{_shown(metric)}: no class {_shown(rest[:-1])}; {near}")]
        if rest[:-1] in classes:
            return []
        near = _did_you_mean(rest[:-1], [str(name) for name in classes])
        return [Problem(*place, f"{_shown(metric)}: no class {_shown(rest[:-1])}; {near}")]
    valid = [*known, *(f"{name}[CLASS]" for name in task.PER_CLASS)]
    close = difflib.get_close_matches(metric, [*known, "champion", "slices"], n=1, cutoff=0.6)
    hint = f"did you mean {close[0]}? " if close else ""
    return [Problem(*place, f"{_shown(metric)} is not a metric of {task.NAME}; {hint}write one of {', '.join(valid)}")]


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
    what = f"margin: {_shown(margin)} allows any loss of a metric between 0 and 1; write a share such as 0.01"
    return [Problem(*marked.place(("gates", "champion", "margin")), what)]
