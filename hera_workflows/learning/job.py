"""Have the worker process do a job, and turn every way in which it can end into one clear error."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from hera_workflows.learning.contained import run_contained
from hera_workflows.learning.memory import Memory, memory
from hera_workflows.learning.worker import Job, Result
from slipway.duration import format_duration
from slipway.errors import Misconfigured, Rejected, SlipwayError, TryAgain

__all__ = ["do"]

_FAMILIES: dict[int, type[SlipwayError]] = {65: Rejected, 75: TryAgain, 78: Misconfigured}


def do(job: Job, *, timeout: float, max_output: int, forward: Callable[[bytes], None] = lambda _: None) -> None:
    """Run `job` within `timeout` seconds; raises the error that it ended with.

    A process that was killed is TryAgain, because memory and machines come back; one that used more memory than its
    container has, crashed, hung or ended itself is Rejected.
    """
    from datetime import timedelta

    with tempfile.TemporaryDirectory(prefix="slipway-job-") as folder:
        job = job.model_copy(update={"result": Path(folder) / "result.json"})
        path = Path(folder) / "job.json"
        path.write_text(job.model_dump_json())
        before = memory()
        ended = run_contained(
            [sys.executable, "-m", "hera_workflows.learning.worker", str(path)],
            timeout=timeout,
            cwd=job.root,
            max_output=max_output,
            forward=forward,
        )
        what = job.file.relative_to(job.root)
        limit = format_duration(timedelta(seconds=timeout))
        try:
            result = Result.model_validate_json(job.result.read_bytes())
        except (FileNotFoundError, ValidationError):
            result = None
    if ended.code != 0 or (result is not None and result.code):
        _check_memory(before, memory())
    if ended.code is None and result is None:
        raise Rejected(f"{what}: still running after {limit} and was stopped; make it quicker, or raise the time limit")
    if result is not None:
        if result.code:
            raise _FAMILIES.get(result.code, Rejected)("\n".join(result.problems))
        return
    last = next((line for line in reversed(ended.tail.splitlines()) if line.strip()), "it printed nothing")[:200]
    if ended.code == -signal.SIGKILL:
        raise TryAgain(
            f"{what}: the process was killed, most likely for memory; raise train.memory if it happens again"
        )
    if ended.code is not None and ended.code < 0:
        named = {each.value: each.name for each in signal.Signals}  # not every signal has a name
        name = named.get(-ended.code, f"signal {-ended.code}")
        raise Rejected(f"{what}: the process crashed with {name} ({last}); look for native code that misbehaves")
    raise Rejected(
        f"{what}: it ended the process itself with exit {ended.code} ({last}); return from data() and train()"
    )


def _check_memory(before: Memory | None, now: Memory | None) -> None:
    # A helper of the process may be who was killed, and the process has only an error of its own to show for it.
    if before is not None and now is not None and now.kills > before.kills:
        raise Rejected(f"out of memory: used more than {now.quantity}; raise train.memory")
