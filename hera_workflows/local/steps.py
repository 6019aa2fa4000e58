"""What does one step do: wait for room, run, read its outputs, try again?"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hera_workflows.local.admission import Admission, Grant
from hera_workflows.local.artifacts import keep
from hera_workflows.local.capped_log import CappedLog
from hera_workflows.local.container import invocation, needs, read_output
from hera_workflows.local.journal import Journal
from hera_workflows.local.manifest import Manifest, Template
from hera_workflows.local.pod_patch import wanted_nodes
from hera_workflows.local.process import Command, Ended, execute
from hera_workflows.local.result import NodeResult, State
from hera_workflows.local.retry import seconds_until_retry
from slipway.errors import SlipwayError, TryAgain

__all__ = ["Place", "Steps", "Tell"]

Tell = Callable[[str, State, str, float | None], None]  # node, state, text, seconds


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run keeps its things, and what it was given."""

    folder: Path  # absolute; logs, journal, scratch
    locks: Path
    volumes: Mapping[str, Path]
    variables: Mapping[str, str]
    process: str  # this runner's own word, so that its steps are never taken for those of an earlier, killed one

    @property
    def mark(self) -> str:
        """What the marks of this runner's steps begin with."""
        return f"{self.any_mark}{self.process}:"

    @property
    def any_mark(self) -> str:
        """What the marks of this run's steps begin with, whichever runner started them."""
        return f"{self.folder}:"


class Steps:
    """Runs steps of one run, each as a process."""

    def __init__(
        self,
        manifest: Manifest,
        place: Place,
        journal: Journal,
        admission: Admission,
        tell: Tell,
        hear: Callable[[str, bytes], None] | None,
    ) -> None:
        self._manifest, self._place, self._journal = manifest, place, journal
        self._admission, self._tell, self._hear = admission, tell, hear

    async def run(
        self, node: str, template: Template, values: Mapping[str, str], earlier: tuple[float, ...]
    ) -> NodeResult:
        """Run a step to its end, retries included; whatever goes wrong is in the result.

        earlier: when attempts that an earlier process made had begun.
        """
        try:
            return await self._attempts(node, template, values, list(earlier))
        except SlipwayError as error:
            return NodeResult(node, "Error", template.name, exit_code=error.exit_code, message=str(error))
        except OSError as error:
            message = f"{error.strerror} ({error.filename or self._place.folder}); free space or choose another folder"
            return NodeResult(node, "Error", template.name, exit_code=TryAgain.exit_code, message=message)

    async def _attempts(
        self, node: str, template: Template, values: Mapping[str, str], starts: list[float]
    ) -> NodeResult:
        wanted = needs(template, values, node)
        while True:
            grant = await self._admission.enter(wanted, node, lambda why: self._tell(node, "waiting", why, None))
            try:
                starts.append(time.time())
                result = await self._attempt(node, template, values, grant, len(starts))
            finally:
                self._admission.leave(grant)
            if not result.failed:
                return result
            self._journal.write("attempt", node=node, started=starts[-1])
            wait = seconds_until_retry(template.retry_strategy, result, starts, time.time())
            if wait is None:
                return result
            self._tell(node, "retry", f"{result.why}; again in {wait:g} s", None)
            await asyncio.sleep(wait)

    async def _attempt(
        self, node: str, template: Template, values: Mapping[str, str], grant: Grant, count: int
    ) -> NodeResult:
        scratch = self._place.folder / ".scratch" / f"{node.replace('/', '.')}.{count}"
        scratch.mkdir(parents=True)
        hear = self._hear
        path = self._place.folder / f"{node}.log"
        log = CappedLog(path, echo=None if hear is None else lambda data: hear(node, data))
        try:
            if count > 1:
                log.write(f"[slipway: attempt {count}]\n".encode())
            call = invocation(
                self._manifest,
                template,
                values,
                volumes=self._place.volumes,
                scratch=scratch,
                given=self._place.variables,
            )
            self._tell(node, "running", "" if count == 1 else f"attempt {count}", None)
            if len(grant.gpus) < grant.needs.gpus:
                self._tell(node, "notice", f"no {grant.needs.gpus} GPUs on this machine; it runs on the CPU", None)
            if nodes := wanted_nodes(template, values, node):
                self._tell(node, "notice", f"{nodes}: not used, there is only this machine", None)
            ended = await execute(
                Command(
                    call.arguments,
                    {**call.environment, "CUDA_VISIBLE_DEVICES": ",".join(grant.gpus)},
                    scratch,
                    f"{self._place.mark}{node}:{count}",
                    call.seconds,
                    grant.needs.memory_limit,
                ),
                log,
            )
            result = _result(node, template, ended, log.last_line())
            result = result if result.failed else _with_outputs(result, template, call.mounts)
            result = _with_artifacts(result, template, call.mounts, values, path)
            return replace(result, attempts=count, log=path)
        finally:
            log.close()
            shutil.rmtree(scratch, ignore_errors=True)


def _result(node: str, template: Template, ended: Ended, last_line: str) -> NodeResult:
    result = NodeResult(
        node,
        "Error" if ended.lost else "Failed" if ended.exit_code or ended.reason else "Succeeded",
        template.name,
        exit_code=ended.exit_code,
        reason=ended.reason,
        seconds=round(ended.seconds, 3),
    )
    # What the step said last tells more than its exit code; what was done to it tells more than what it said.
    said = "" if ended.reason or ended.lost else last_line.removeprefix("slipway: ")
    return replace(result, message=said or ended.message) if result.failed else result


def _with_artifacts(
    result: NodeResult, template: Template, mounts: Mapping[str, Path], values: Mapping[str, str], log: Path
) -> NodeResult:
    try:
        keep(template, mounts, values, log)
    except (OSError, ValueError) as error:
        # Why the step failed says more than what it then did not leave.
        failed = replace(result, phase="Error", exit_code=78, message=f"an output artifact cannot be kept: {error}")
        return result if result.failed else failed
    return result


def _with_outputs(result: NodeResult, template: Template, mounts: Mapping[str, Path]) -> NodeResult:
    outputs = {}
    for output in template.outputs.parameters:
        try:
            outputs[output.name] = read_output(output.value_from.path, mounts, output.value_from.default)
        except (OSError, ValueError) as error:
            return replace(result, phase="Error", exit_code=78, message=f"output {output.name} cannot be read: {error}")
    return replace(result, outputs=outputs)
