"""What does a push to the source repository start?

The post-receive hook of source.git: `python -m hera_workflows.platform.event HOME`, with git's `old new ref` lines on
standard input. What it prints reaches the pusher's terminal as `remote: …`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hera_workflows.platform.home import BRANCH, clean_environment, git
from hera_workflows.platform.processes import start
from hera_workflows.settings import Platform, read_platform
from slipway.errors import Misconfigured, Rejected, SlipwayError
from slipway.names import check_commit

__all__ = ["Push", "main", "parse_push", "workflow_command", "workflow_name"]

ZERO = "0"


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
    for line in git(platform.source_repo, "log", "-g", "--format=%H %gd", "--date=unix", push.ref).splitlines():
        commit, _, entry = line.partition(" ")
        if commit == push.after:
            return f"push-{push.after[:10]}-{entry.rpartition('{')[2].rstrip('}')}"
    return f"push-{push.after[:10]}"


def workflow_command(platform: Platform, push: Push, name: str) -> list[str]:
    """The command that runs the workflow of a push to its end."""
    command = [sys.executable, "-I", "-m", "hera_workflows", "--home", str(platform.home), "run", "slipway-push"]
    return [*command, "-p", f"before={push.before}", "-p", f"after={push.after}", "--name", name]


def follow(process: subprocess.Popen[bytes], log: Path, offset: int, show: Callable[[bytes], None]) -> int:
    """Show what a process appends to its log from `offset` until it ends; returns its exit code."""
    with log.open("rb") as file:
        file.seek(offset)
        while True:
            ended = process.poll()
            while piece := file.read(65536):
                show(piece)
            if ended is not None:
                return ended
            time.sleep(0.05)


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Start the workflow of each pushed ref that is built, and follow it unless the push says `-o nowait`."""
    home = Path(arguments[0])
    options = [environment.get(f"GIT_PUSH_OPTION_{n}") for n in range(int(environment.get("GIT_PUSH_OPTION_COUNT", 0)))]
    platform = read_platform(home)
    if platform is None:
        raise Misconfigured(f"no platform in {home}; run `slipway up`, then push again")
    code = 0
    for line in sys.stdin:
        push = parse_push(line)
        if push.ignored:
            print(f"slipway: {push.ignored}", flush=True)
            continue
        name = workflow_name(platform, push)
        log = home / "logs" / f"{name}.log"
        offset = log.stat().st_size if log.exists() else 0
        process = start(
            workflow_command(platform, push, name), home=home, role="workflow", log=log, env=clean_environment()
        )
        print(f"slipway: {name} is running; `slipway logs {name}` shows its steps", flush=True)
        if "nowait" in options:
            continue
        try:
            code = follow(process, log, offset, _show) or code
        except KeyboardInterrupt:
            print(f"slipway: {name} goes on without you; `slipway logs {name}` follows it", flush=True)
            return 130
    return code


def _show(piece: bytes) -> None:
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:], os.environ))
    except SlipwayError as error:
        print(f"slipway: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The pusher has gone; the workflow goes on.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
