"""Where in the workspace volume does a run keep what its steps hand on?

`<run>/source/` the pushed tree, written by plan · `<run>/<model>/` the work on one model, which people's code may
write to · `<run>/.validation/<model>.json` the verdict on it and `<model>.html` its report, which people's code may not
write · `datasets/<model>/` its data sets, which were fetched and are kept between runs.
"""

from __future__ import annotations

from pathlib import Path

from slipway.errors import Misconfigured
from slipway.names import check_model

__all__ = ["KEEP_RUNS", "report_file", "run_folder", "source_folder", "validation_file", "work_folder"]

# Longer than the longest training, which need not write anything before its end, by a week for what waits for it.
KEEP_RUNS = "37d"


def run_folder(workspace: Path, run: str) -> Path:
    """The folder of a run; raises Misconfigured when the run's name is not one path component."""
    if not run or len(run) > 200 or run in (".", "..", "datasets") or any(c in run for c in "/\0\n"):
        raise Misconfigured(f"--run {run[:80]!r} is not a workflow's name; give one word")
    return workspace.absolute() / run


def work_folder(workspace: Path, run: str, model: str) -> Path:
    """The folder of one model in one run; raises Misconfigured or Rejected when a name cannot be a folder's."""
    return run_folder(workspace, run) / check_model(model)


def source_folder(work: Path) -> Path:
    """The pushed tree that the model whose work folder this is was trained from; read-only to training's pod."""
    return work.parent / "source"


def validation_file(work: Path) -> Path:
    """Where validate writes what it found of the model whose work folder this is: outside of it.

    The pod of training can write to the work folder, and must not be able to say that validation is done.
    """
    return work.parent / ".validation" / f"{work.name}.json"


def report_file(work: Path) -> Path:
    """Where validate writes what people read of the model whose work folder this is, beside the verdict.

    Argo follows a link there with rights of its own, so it must be none that training left.
    """
    return validation_file(work).with_suffix(".html")
