"""How runs are listed, and how the logs of one are shown while it goes on."""

from __future__ import annotations

import codecs
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from hera_workflows.local.capped_log import log_parts
from hera_workflows.local.runs import Run
from hera_workflows.terminal import printable, table
from slipway.errors import Rejected

__all__ = ["follow_logs", "list_runs", "runs_as_json"]

_PAUSE = 0.1  # seconds between two looks
_PIECE = 2**18  # bytes


def list_runs(runs: Sequence[Run]) -> str:
    """One line for each run, the newest last."""
    if not runs:
        return "no runs yet; push a model, or `slipway run slipway-push -p before=… -p after=…`"
    rows = [(r.name, r.template, r.status, f"{r.started.astimezone():%Y-%m-%d %H:%M:%S}") for r in runs]
    return table(("RUN", "TEMPLATE", "STATUS", "STARTED"), rows)


def runs_as_json(runs: Sequence[Run]) -> str:
    """The same list for programs, with where each run's folder lies."""
    rows = [
        {
            "run": r.name,
            "template": r.template,
            "status": r.status,
            "started": r.started.isoformat(),
            "folder": str(r.folder),
        }
        for r in runs
    ]
    return json.dumps(rows, indent=2)


def follow_logs(run: Run, step: str | None, *, follow: bool) -> Iterator[str]:
    """The text of a run's logs, each after a line that names its step; with `follow` until the run ends.

    Raises Rejected when the run has no step of that name.
    """
    files: dict[str, _File] = {}
    last = None
    while True:
        going_on = follow and run.going_on
        for name, path in run.logs().items():
            if step not in (None, name):
                continue
            file = files.setdefault(name, _File())
            # While a run goes on, what exceeds the log's beginning is shown when its step ends.
            for text in file.rest([path] if follow else log_parts(path)):
                if name != last and step is None:
                    yield f"==> {name} <==\n"
                    last = name
                yield text
        if not going_on:
            break
        time.sleep(_PAUSE)
    if step is not None and not files:
        raise Rejected(f"{run.name} has no log of {step[:80]!r}; it has {', '.join(run.logs()) or 'none yet'}")


class _File:
    """How far a log has been shown."""

    def __init__(self) -> None:
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def rest(self, parts: Sequence[Path]) -> Iterator[str]:
        """What has been added to the first part since, and the other parts whole."""
        for count, part in enumerate(parts):
            with part.open("rb") as file:
                file.seek(0 if count else self._offset)
                while data := file.read(_PIECE):
                    yield printable(self._decoder.decode(data), keep="\n\t")
                if not count:
                    self._offset = file.tell()
