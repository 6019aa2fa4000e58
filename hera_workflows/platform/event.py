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
from pathlib import Path

from hera_workflows.platform.pushes import parse_push, push_log, start_workflow, workflow_name
from hera_workflows.settings import read_platform
from slipway.errors import Misconfigured, SlipwayError, TryAgain

__all__ = ["follow", "main"]


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
        log = push_log(platform, name)
        offset = log.stat().st_size if log.exists() else 0
        process = start_workflow(platform, push, name)
        print(f"slipway: {name} is running; `slipway logs {name}` shows its steps", flush=True)
        if "nowait" in options:
            continue
        try:
            ended = follow(process, log, offset, _show)
        except KeyboardInterrupt:
            print(f"slipway: {name} goes on without you; `slipway logs {name}` follows it", flush=True)
            return 130
        if ended < 0:
            print(f"slipway: {name} was killed before its end; `slipway up` goes on with it", flush=True)
        if ended in (TryAgain.exit_code, Misconfigured.exit_code):
            # The same push again would say "Everything up-to-date".
            print(f"slipway: once that is mended, `slipway run slipway-push --name {name}` goes on", flush=True)
        code = ended or code
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
