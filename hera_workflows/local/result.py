"""What became of a workflow and of each of its steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

__all__ = ["ON_EXIT", "Event", "NodeResult", "Phase", "State", "Status", "WorkflowResult"]

ON_EXIT = "onExit"  # the exit handler's node

Phase = Literal["Succeeded", "Failed", "Error", "Skipped", "Omitted"]
Status = Literal["Succeeded", "Failed", "Error", "Stopped"]
State = Literal["running", "waiting", "notice", "retry", "ok", "failed", "skipped", "reused"]


@dataclass(frozen=True, slots=True)
class NodeResult:
    """One node: a step, or a group of them."""

    id: str  # its path in the workflow, "model/digits/train"; also the name of its log
    phase: Phase
    template: str = ""
    exit_code: int | None = None  # None: no process ended by itself (Error, Skipped, Omitted, a group)
    reason: str = ""  # "DeadlineExceeded", "OOMKilled" or empty
    message: str = ""  # one line
    seconds: float = 0.0  # of the last attempt
    attempts: int = 0
    outputs: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None

    @property
    def why(self) -> str:
        """What went wrong in one line: `exit 65: digits is refused`; empty when nothing did."""
        if not self.failed:
            return ""
        end = self.reason or ("" if self.exit_code is None else f"exit {self.exit_code}")
        return ": ".join(part for part in (end, self.message) if part)

    @property
    def failed(self) -> bool:
        """Whether what depends on it must not run."""
        return self.phase in ("Failed", "Error")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a node, for whoever watches."""

    at: datetime
    node: str
    state: State
    text: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class WorkflowResult:
    """How a run ended."""

    name: str
    status: Status
    nodes: tuple[NodeResult, ...]  # steps only, in the order in which they ended
    folder: Path  # journal.jsonl and the logs

    @property
    def exit_code(self) -> int:
        """0, 130 after a stop, else what the failed steps mean: 78 before 65 before 75, 1 for a crash."""
        if self.status in ("Succeeded", "Stopped"):
            return 0 if self.status == "Succeeded" else 130
        codes = {_family(node) for node in self.nodes if node.failed}
        return next((code for code in (78, 65, 75) if code in codes), 1)


def _family(node: NodeResult) -> int:
    # A model that takes more time or memory than it declared was judged and refused; trying again changes nothing.
    return 65 if node.reason else node.exit_code or 1
