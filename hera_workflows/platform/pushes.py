"""Which workflow does a push start, and which was interrupted?"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hera_workflows.platform.home import BRANCH, clean_environment, git
from hera_workflows.platform.processes import start
from hera_workflows.settings import Platform
from slipway.errors import Rejected
from slipway.names import check_commit

__all__ = ["Push", "parse_push", "push_log", "start_workflow", "unfinished", "workflow_name"]

ZERO = "0"
MAIN = f"refs/heads/{BRANCH}"


@dataclass(frozen=True, slots=True)
class Push:
    """One ref that a push moved."""

    before: str  # full commit id; all zeros when the ref is new
    after: str  # full commit id; all zeros when the ref was deleted
    ref: str

    @property
    def ignored(self) -> str | None:
        """Why this ref starts nothing; None when it does."""
        branch = self.ref.removeprefix("refs/heads/")
        if not self.after.strip(ZERO):
            return f"{branch} is deleted; what is served stays as it is (`slipway retire` stops a model)"
        if branch != BRANCH:
            return f"{branch} is kept; only {BRANCH} is built, so push to {BRANCH}"
        return None


def parse_push(line: str) -> Push:
    """A Push from git's `old new ref`; raises Rejected for anything else."""
    before, after, ref = (*line.rstrip("\n").split(" ", 2), "", "")[:3]
    if not ref.startswith("refs/"):
        raise Rejected(f"{line[:200]!r} is not git's `old new ref`; let git call its hook, or push again")
    return Push(check_commit(before), check_commit(after), ref)


def workflow_name(platform: Platform, push: Push) -> str:
    """The name of the workflow of this very push: asking twice gives it twice, pushing again another time does not.

    The time of the push comes from the reflog, so a commit that is pushed back after a revert is built again.
    """
    stamp = next((stamp for commit, stamp in _reflog(platform) if commit == push.after), "0")
    return f"push-{push.after[:10]}-{stamp}"


def push_log(platform: Platform, name: str) -> Path:
    """What the workflow of that name tells its pusher."""
    return platform.home / "logs" / f"{name}.log"


def start_workflow(platform: Platform, push: Push, name: str) -> subprocess.Popen[bytes]:
    """Run the workflow of a push, or go on with it, in a process of its own that outlives the push."""
    command = [sys.executable, "-I", "-m", "hera_workflows", "--home", str(platform.home), "run", "slipway-push"]
    command += ["-p", f"before={push.before}", "-p", f"after={push.after}", "--name", name]
    log = push_log(platform, name)
    return start(command, home=platform.home, role="workflow", log=log, env=clean_environment())


def unfinished(platform: Platform) -> list[tuple[str, Push]]:
    """The workflows that should run and do not: those that were interrupted, and the one that never began.

    A push is kept by git before its hook runs; whoever kills the hook in between leaves a main that nobody builds.
    """
    from hera_workflows.local.journal import read_journal
    from hera_workflows.local.runs import unended_runs

    root = platform.home / "workflows"
    found = []
    for run in unended_runs(root):
        if run.template == "slipway-push" and run.past.identity is not None and not run.going_on:
            values = run.past.identity["parameters"]
            found.append((run.name, Push(values["before"], values["after"], MAIN)))
    entries = _reflog(platform)
    # By its first fact, because a kill may have left the run's folder without any.
    begun = (
        (commit, stamp)
        for commit, stamp in entries
        if read_journal(root / f"push-{commit[:10]}-{stamp}" / "journal.jsonl").identity is not None
    )
    last = next(begun, None)
    if entries and last != entries[0]:
        push = Push(last[0] if last else ZERO * 40, entries[0][0], MAIN)
        found.append((workflow_name(platform, push), push))
    return found


def _reflog(platform: Platform) -> list[tuple[str, str]]:
    """Every commit that main was moved to and the second of that push, newest first."""
    if not git(platform.source_repo, "for-each-ref", MAIN):
        return []
    lines = git(platform.source_repo, "log", "-g", "--format=%H %gd", "--date=unix", MAIN).splitlines()
    pairs = (line.split(" ", 1) for line in lines)
    return [(commit, entry.rpartition("{")[2].rstrip("}")) for commit, entry in pairs]
