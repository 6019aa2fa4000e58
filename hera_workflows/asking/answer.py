"""What does a served answer say, in a person's words?

The version's outputs decide: JSON text is shown as entities marked in the sentence, probabilities of classes as
labels, and anything else as numbers with their name. No model and no task is known by name here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["as_json", "in_words"]

NEXT = 2  # labels shown after the most probable one
Mark = Callable[[str], str]


def as_json(outputs: dict[str, NDArray[Any]], classes: Sequence[str] | None, sample: int) -> dict[str, Any]:
    """One sample's answer as JSON values. classes: the names of the last axis, where the task classifies."""
    found: dict[str, Any] = {}
    for name, array in outputs.items():
        row = array[sample]
        if row.dtype.kind in "OS":
            found[name] = [_parsed(text) for text in row.reshape(-1)]
            if len(found[name]) == 1:
                found[name] = found[name][0]
        elif (names := _names(row, classes)) is not None and row.ndim == 1:
            found["label"] = names[int(row.argmax())]
            found[name] = dict(zip(names, row.tolist(), strict=True))
        else:
            found[name] = row.tolist()[0] if row.size == 1 and row.ndim == 1 else row.tolist()
    return found


def in_words(
    outputs: dict[str, NDArray[Any]], classes: Sequence[str] | None, sample: int, text: str | None, mark: Mark
) -> list[str]:
    """One sample's answer as lines; text: what was sent, where that was text; mark: how an entity stands out."""
    lines = []
    for name, array in outputs.items():
        row = array[sample]
        if row.dtype.kind in "OS":
            for value in map(_parsed, row.reshape(-1)):
                if text is not None and _are_entities(value):
                    lines += _entities(text, value, mark)
                else:
                    lines.append(f"{name}: {value if isinstance(value, str) else json.dumps(value)}")
        elif (names := _names(row, classes)) is None:
            values = ", ".join(f"{value:.6g}" for value in row.reshape(-1)[:20])
            lines.append(f"{name}: {values}{', …' if row.size > 20 else ''}")
        elif row.ndim == 1:
            lines.append(_labels(row, names))
        else:
            rows = row.reshape(-1, row.shape[-1])
            lines += [f"{place + 1}: {_labels(each, names)}" for place, each in enumerate(rows[:100])]
    return lines


def _names(row: NDArray[Any], classes: Sequence[str] | None) -> Sequence[str] | None:
    if classes is None or row.ndim == 0 or row.dtype.kind != "f":
        return None
    return classes if len(classes) == row.shape[-1] else [str(index) for index in range(row.shape[-1])]


def _labels(row: NDArray[Any], names: Sequence[str]) -> str:
    best = sorted(range(len(names)), key=lambda index: -row[index])[: NEXT + 1]
    first, *others = (f"{names[index]} ({row[index]:.1%})" for index in best)
    return first + (f"; then {', '.join(others)}" if others else "")


def _parsed(text: Any) -> Any:
    decoded = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    try:
        return json.loads(decoded)
    except (ValueError, RecursionError):
        return decoded


def _are_entities(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, dict) and {"start", "end", "label", "score"} <= each.keys() for each in value
    )


def _entities(text: str, entities: list[dict[str, Any]], mark: Mark) -> list[str]:
    parts, place = [], 0
    for each in entities:
        parts += [text[place : each["start"]], mark(f"[{text[each['start'] : each['end']]} {each['label']}]")]
        place = each["end"]
    parts.append(text[place:])
    scores = [f"{text[e['start'] : e['end']]}: {e['label']} ({e['score']:.1%})" for e in entities]
    return ["".join(parts), *(scores or ["no entities"])]
