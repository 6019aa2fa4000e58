"""Which model a model.yaml describes, and everything that is wrong with it, by line and column."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from hera_workflows.learning.tasks import task_names
from hera_workflows.task_rules import task_problems
from hera_workflows.yaml_marks import Marked, Path, Problem, did_you_mean, parse_marked, shown
from slipway.errors import Rejected
from slipway.spec import ModelSpec

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
    problems += task_problems(marked, value)
    if value.get("name") in _TAKEN:
        what = f"name: {shown(value['name'])} is taken: a run keeps the pushed files under it; choose another name"
        problems.append(Problem(*marked.place(("name",)), what))
    unique = sorted(set(problems), key=lambda problem: (problem.line, problem.column))
    return (None if unique else spec), unique


# Beside the folders of a run's models lies that of the pushed tree.
_TAKEN = ("source",)
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
        value = shown(details["input"])
        return Problem(*marked.place(path), f"{path[-2]}: {value} is not a plain value; write a number, text or true")
    name = str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        section = _section_keys(path[:-1])
        return Problem(*marked.place(path, key=True), f"unknown key {shown(name)}; {did_you_mean(name, section)}")
    if kind == "missing":
        missing = str(details["loc"][-1])
        return Problem(*marked.place(path), f"{missing} is missing; add `{missing}: …`")
    place = marked.place(path)
    if kind == "value_error":
        return Problem(*place, message.removeprefix("Value error, "))
    value = shown(details["input"])
    if kind == "literal_error":
        expected = str(details.get("ctx", {}).get("expected", "")).replace("'", "")
        return Problem(*place, f"{name}: {value} is not a choice; write {expected}")
    if kind in _SHORT:
        if kind == "string_pattern_mismatch":
            value = shown(details["input"], ascii)  # a look-alike shown as it is would read like what is asked for
        instead = _INSTEAD.get(
            name if kind == "string_pattern_mismatch" else kind, "write what `slipway schema` allows there"
        )
        return Problem(*place, f"{name}: {value} {_SHORT[kind]}; {instead}")
    return Problem(*place, f"{name}: {value}: {message[:1].lower()}{message[1:]}; choose a value in that range")


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
