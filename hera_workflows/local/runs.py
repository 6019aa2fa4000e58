"""Which runs there are under a root, how they ended, and what a new one is called."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hera_workflows.local.journal import Past, read_journal
from hera_workflows.local.locks import lock_path
from slipway.errors import Misconfigured, Rejected

__all__ = ["Run", "find_run", "find_runs", "name_for", "prune", "unended_runs"]

_KEPT = 200  # runs of which journal and logs stay
_SLACK = 50  # more than that before anything is removed, because it takes reading the journals of the rest
_RECENT = 20  # runs; a schedule makes hundreds a day, and reading them all would take longer each time


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as its journal tells it."""

    name: str
    folder: Path
    past: Past

    @property
    def template(self) -> str:
        """The name of the workflow template."""
        return str((self.past.identity or {}).get("template", "?"))

    @property
    def started(self) -> datetime:
        """When it was first started."""
        return datetime.fromtimestamp(self.past.started, UTC)

    @property
    def going_on(self) -> bool:
        """Whether a process is running it now."""
        try:
            descriptor = os.open(lock_path(self.folder.parent / ".locks", f"run {self.name}"), os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    @property
    def status(self) -> str:
        """Running, Interrupted (the same command goes on with it), or how it ended."""
        return self.past.status or ("Running" if self.going_on else "Interrupted")

    def logs(self) -> dict[str, Path]:
        """The log of each step that has begun, oldest first."""
        paths = [path for path in self.folder.rglob("*.log") if ".scratch" not in path.parts]
        paths.sort(key=lambda path: (path.stat().st_ctime_ns if path.exists() else 0, path))
        return {str(path.relative_to(self.folder)).removesuffix(".log"): path for path in paths}


def find_runs(root: Path) -> list[Run]:
    """The runs under `root` to which something happened lately, at most 20, oldest first."""
    journals = sorted(root.glob("*/journal.jsonl"), key=lambda path: path.stat().st_mtime_ns)[-_RECENT:]
    return sorted((find_run(root, path.parent.name) for path in journals), key=lambda run: run.past.started)


def unended_runs(root: Path) -> list[Run]:
    """The runs under `root` that began and did not end, however long ago, oldest first."""
    runs = [Run(path.parent.name, path.parent, read_journal(path)) for path in root.glob("*/journal.jsonl")]
    unended = [run for run in runs if run.past.identity is not None and run.past.status is None]
    return sorted(unended, key=lambda run: run.past.started)


def find_run(root: Path, name: str) -> Run:
    """The run of that name; raises Rejected when there is none."""
    if "/" not in name and (folder := root / name).joinpath("journal.jsonl").is_file():
        return Run(name, folder, read_journal(folder / "journal.jsonl"))
    raise Rejected(f"there is no run {name[:80]!r} in {root}; `slipway logs` lists the runs")


def name_for(root: Path, identity: Mapping[str, Any]) -> str:
    """The name of a numbered run that is the same and did not end, so that it goes on; else the next free number."""
    template = str(identity["template"])
    ends = [path.parent.name.removeprefix(f"{template}-") for path in root.glob(f"{template}-*/journal.jsonl")]
    numbers = sorted((int(end) for end in ends if re.fullmatch("[1-9][0-9]{0,9}", end, re.ASCII)), reverse=True)
    for number in numbers[:_RECENT]:
        past = read_journal(root / f"{template}-{number}" / "journal.jsonl")
        if past.identity == identity and past.status is None:
            return f"{template}-{number}"
    return f"{template}-{max(numbers, default=0) + 1}"


def prune(root: Path, kept: int = _KEPT, slack: int = _SLACK) -> None:
    """Remove all but the `kept` runs to which something happened last, once there are `slack` more.

    What has not ended stays, and so does the last run of each template: by it the platform knows what was begun.
    """
    gone = root / ".removed"
    journals = sorted(root.glob("*/journal.jsonl"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    if len(journals) <= kept + slack:
        return
    templates: set[str] = set()
    for count, journal in enumerate(journals):
        try:
            run = Run(journal.parent.name, journal.parent, read_journal(journal))
        except Misconfigured:
            continue  # edited by hand: whoever asks for that run is told
        if count >= kept and run.past.status is not None and run.template in templates:
            gone.mkdir(exist_ok=True)
            # By one rename, so that nobody finds half a run; another runner may be doing the same.
            with contextlib.suppress(OSError):
                run.folder.rename(gone / run.name)
        templates.add(run.template)
    shutil.rmtree(gone, ignore_errors=True)
