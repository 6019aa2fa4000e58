"""Which values a YAML text holds, and at which line and column each stands.

People edit model.yaml by hand, so a wrong value must be pointed at. One document, YAML 1.2's plain words
(`off` and `no` are text), no anchors, no tags, no duplicate keys.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

__all__ = ["Marked", "Problem", "did_you_mean", "parse_marked", "shown"]

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml: a hostile megabyte takes no seconds
_INTEGER = re.compile(r"[+-]?[0-9](_?[0-9]){0,30}", re.ASCII)  # what int() takes
_FLOAT = re.compile(r"[+-]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][+-]?[0-9]{1,4})?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?\.(inf|nan)", re.ASCII | re.IGNORECASE)
Place = tuple[int, int]  # line and column, both from 1
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where."""

    line: int
    column: int
    text: str  # "what; what to write instead"

    def at(self, where: str) -> str:
        """The line that editors and people can follow."""
        return f"{where}:{self.line}:{self.column}: {self.text}"


@dataclass(slots=True)
class Marked:
    """A parsed text: plain values, the place of each key and value, and what was wrong already."""

    value: Any = None
    keys: dict[Path, Place] = field(default_factory=dict)  # where the key stands
    values: dict[Path, Place] = field(default_factory=dict)  # where its value stands
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Where `path` stands, or the nearest thing around it that the text really has."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))


def shown(value: Any, spell: Callable[[Any], str] = repr) -> str:
    """A value as a message shows it, cut where it is long."""
    text = spell(value)
    return text if len(text) <= 60 else text[:57] + "..."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The known name that was meant, else all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"write one of {', '.join(known)}"


def parse_marked(content: bytes | str) -> Marked:
    """Read one YAML document; everything wrong with it is in `.problems`, nothing is raised."""
    marked = Marked()
    text = _text(content, marked)
    if text is None or not _bounded(text, marked):
        return marked
    node = yaml.compose(text, Loader=_LOADER)
    if node is not None:
        marked.value = _value(node, (), marked)
    return marked


def _text(content: bytes | str, marked: Marked) -> str | None:
    raw = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    if len(raw) > MAX_BYTES:
        marked.problems.append(Problem(1, 1, f"{len(raw)} bytes of YAML; keep it under {MAX_BYTES}"))
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        marked.problems.append(Problem(line, column, f"byte {raw[error.start]:#04x} is not UTF-8; save it as UTF-8"))
        return None


def _bounded(text: str, marked: Marked) -> bool:
    # Events first: they stream, so neither depth nor aliases can grow anything before they are refused.
    depth = documents = 0
    try:
        for event in _events(text):
            mark = event.start_mark
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                problem = "anchors and aliases are not taken; write the value out"
            elif isinstance(event, yaml.DocumentStartEvent) and (documents := documents + 1) > 1:
                problem = "a second document begins here; keep one document in the file"
            elif isinstance(event, yaml.CollectionStartEvent) and (depth := depth + 1) > MAX_DEPTH:
                problem = f"nested more than {MAX_DEPTH} deep; make it flatter"
            elif getattr(event, "tag", None) not in (None, "!"):
                problem = f"the tag {event.tag[:60]!r} is not taken; write the plain value"
            else:
                depth -= isinstance(event, yaml.CollectionEndEvent)
                continue
            marked.problems.append(Problem(mark.line + 1, mark.column + 1, problem))
            return False
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        marked.problems.append(
            Problem(
                mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, _advice(error.problem or "", text, mark)
            )
        )
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        marked.problems.append(
            Problem(line, column, f"character {error.character!r} is not allowed in YAML; remove it")
        )
    return not marked.problems


def _events(text: str) -> Iterator[Any]:
    return yaml.parse(text, Loader=_LOADER)


def _advice(problem: str, text: str, mark: Any) -> str:
    line = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else ""
    if "\t" in line[: len(line) - len(line.lstrip())] or "'\\t'" in problem or "tab" in problem:
        return "a tab stands where YAML wants spaces; indent with spaces"
    return f"this is not YAML: {problem or 'it cannot be read'}; quote the value, or check indentation and colons"


def _value(node: Any, path: Path, marked: Marked) -> Any:
    place = (node.start_mark.line + 1, node.start_mark.column + 1)
    marked.values[path] = place
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            at = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                marked.problems.append(Problem(*at, "a key is text, not a list or mapping; write `name: value`"))
                continue
            key = key_node.value
            if key in result:
                first = marked.keys[(*path, key)][0]
                marked.problems.append(Problem(*at, f"{key!r} stands already in line {first}; keep one of them"))
                continue
            marked.keys[(*path, key)] = at
            result[key] = _value(value_node, (*path, key), marked)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, index), marked) for index, item in enumerate(node.value)]
    return node.value if node.style else _plain(node.value, place, marked)


def _plain(text: str, place: Place, marked: Marked) -> Any:
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    if _NOT_FINITE.fullmatch(text) or _FLOAT.fullmatch(text):
        marked.problems.append(Problem(*place, f"{text[:40]} is not a finite number; write an ordinary number"))
    return text
