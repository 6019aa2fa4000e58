"""Which fields does the local runner honour? `python -m hera_workflows.local.fields` prints the table for people."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from hera_workflows.local.manifest import Manifest
from hera_workflows.local.pod import Ignored

__all__ = ["DECLARED_NOT_ENFORCED", "HONOURED", "table"]


def _walk(model: type[BaseModel], path: str) -> Iterator[tuple[str, str, bool]]:
    for name, field in model.model_fields.items():
        here = f"{path}{field.alias or name}"
        ignored = next((mark for mark in field.metadata if isinstance(mark, Ignored)), None)
        inner = None if ignored else _model_in(field.annotation)
        if ignored:
            yield here, ignored.why, False
        elif field.description or inner is None:
            yield here, field.description or "as in Argo", True
        if inner is not None:
            yield from _walk(inner, f"{here}{'[]' if _is_list(field.annotation) else ''}.")


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)


def _is_list(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, types.UnionType):
        return any(_is_list(part) for part in get_args(annotation))
    return get_origin(annotation) is list


_ROWS = list(_walk(Manifest, ""))
HONOURED = {path: meaning for path, meaning, honoured in _ROWS if honoured}
DECLARED_NOT_ENFORCED = {path: why for path, why, honoured in _ROWS if not honoured}


def table() -> str:
    """Both tables in Markdown."""
    lines = ["| field | here |", "| --- | --- |"]
    lines += [f"| `{path}` | {_cell(meaning)} |" for path, meaning in HONOURED.items()]
    lines += ["", "Declared, and not enforced by a process on this machine:", "", "| field | why |", "| --- | --- |"]
    lines += [f"| `{path}` | {_cell(why)} |" for path, why in DECLARED_NOT_ENFORCED.items()]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(table(), end="")
