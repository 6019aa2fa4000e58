"""What a person sees while a workflow runs, and at its end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import tzinfo
from functools import partial
from typing import Any, Protocol

from hera_workflows.local.result import Event, NodeResult, WorkflowResult
from hera_workflows.terminal import printable

__all__ = ["Lines", "Progress", "Tree", "summary"]

_SYMBOLS = {"waiting": "…", "running": "•", "retry": "↻", "ok": "✓", "reused": "✓", "failed": "✗"}
_COLOURS = {
    "running": "cyan",
    "waiting": "yellow",
    "retry": "yellow",
    "ok": "green",
    "reused": "green",
    "failed": "red",
}


_shown = partial(printable, keep="\t")


class Progress(Protocol):
    """Shows a run; used as a context manager around it."""

    def __enter__(self) -> Progress: ...

    def __exit__(self, *error: object) -> None: ...

    def event(self, event: Event) -> None:
        """Something happened."""

    def output(self, node: str, data: bytes) -> None:
        """A step printed something."""


class Lines:
    """One line for each event, for logs and pipes; steps' own lines, with a prefix, where they are wanted."""

    def __init__(self, write: Callable[[str], None], zone: tzinfo | None = None) -> None:
        self._write, self._zone = write, zone
        self._partial: dict[str, bytes] = {}

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def event(self, event: Event) -> None:
        """Print it, with the time of day; skipped steps are not worth a line."""
        if event.state in ("ok", "failed") and (rest := self._partial.pop(event.node, b"")):
            self._line(event.node, rest)
        if event.state != "skipped":
            took = f" {event.seconds:.1f}s" if event.seconds else ""
            text = f" {_shown(event.text)}" if event.text else ""
            self._print(f"{event.at.astimezone(self._zone):%H:%M:%S} {event.node} {event.state}{took}{text}")

    def output(self, node: str, data: bytes) -> None:
        """Print its whole lines."""
        *lines, rest = (self._partial.get(node, b"") + data).split(b"\n")
        for line in lines:
            self._line(node, line)
        self._partial[node] = rest[-65536:]

    def _line(self, node: str, line: bytes) -> None:
        self._print(f"{node} | {_shown(line.decode('utf-8', 'replace').rstrip())}")

    def _print(self, line: str) -> None:
        # A reader that has gone must not stop the workflow.
        with contextlib.suppress(BrokenPipeError):
            self._write(line)


class Tree:
    """A tree of the steps that redraws itself, for terminals."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._nodes: dict[str, tuple[Event, float]] = {}  # last event, and when the step began

    def __enter__(self) -> Tree:
        from rich.live import Live

        self._live = Live(get_renderable=self._render, refresh_per_second=8, transient=True)
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.__exit__(None, None, None)

    def event(self, event: Event) -> None:
        """Redraw its node."""
        if event.state == "notice":
            from rich.text import Text

            self._live.console.print(Text(f"{event.node}: {_shown(event.text)}", style="yellow"))
        elif event.state != "skipped":
            began = self._nodes[event.node][1] if event.node in self._nodes and event.state != "running" else 0.0
            self._nodes = {**self._nodes, event.node: (event, began or time.monotonic())}

    def output(self, node: str, data: bytes) -> None:
        """Its lines are in the log."""

    def _render(self) -> Any:
        from rich.text import Text
        from rich.tree import Tree as RichTree

        root = RichTree(self._title)
        branches = {"": root}
        for node, (event, began) in self._nodes.items():
            parent, _, name = node.rpartition("/")
            if parent not in branches:
                branches[parent] = root.add(Text(parent))
            seconds = event.seconds if event.seconds is not None else time.monotonic() - began
            took = "" if event.state == "reused" else f"  {seconds:.1f}s"
            text = f"{_SYMBOLS[event.state]} {name}{took}  {_shown(event.text)}"
            branches[parent].add(Text(text, style=_COLOURS[event.state], overflow="ellipsis", no_wrap=True))
        return root


def summary(result: WorkflowResult, seconds: float) -> str:
    """The table at the end: every step, how it ended, how long its last attempt took."""
    rows = [("STEP", "RESULT", "TIME", "")]
    rows += [(node.id, _result(node), f"{node.seconds:.1f}s", _message(node)) for node in result.nodes]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows]
    lines.append(f"{result.name} {result.status} in {seconds:.1f}s; logs in {result.folder}")
    return "\n".join(lines)


def _result(node: NodeResult) -> str:
    tries = f" (attempt {node.attempts})" if node.attempts > 1 else ""
    if not node.failed:
        return f"ok{tries}"
    return f"{node.reason or ('exit ' + str(node.exit_code) if node.exit_code is not None else 'failed')}{tries}"


def _message(node: NodeResult) -> str:
    return _shown(node.message) if node.failed else ""
