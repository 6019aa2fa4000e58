"""In which order a workflow's steps run, and what follows from how each of them ends."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hera_workflows.local.admission import Admission, Grant
from hera_workflows.local.capped_log import CappedLog
from hera_workflows.local.check import needed_tasks
from hera_workflows.local.container import invocation, needs, read_output
from hera_workflows.local.expression import evaluate
from hera_workflows.local.journal import Journal, Past
from hera_workflows.local.locks import Lock, try_lock
from hera_workflows.local.manifest import Dag, Manifest, Task, Template
from hera_workflows.local.process import Command, execute
from hera_workflows.local.result import ON_EXIT, NodeResult, Phase, State
from hera_workflows.local.retry import seconds_until_retry
from hera_workflows.local.substitution import item_values, substitute
from slipway.errors import SlipwayError, TryAgain

__all__ = ["Engine", "Place", "dag_phase"]

_POLL = 0.1  # seconds between two looks at a mutex
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run keeps its things, and what it was given."""

    folder: Path  # absolute; logs, journal, scratch
    locks: Path
    volumes: Mapping[str, Path]
    variables: Mapping[str, str]

    @property
    def mark(self) -> str:
        """What the marks of all of this run's processes begin with."""
        return f"{self.folder}:"


class Engine:
    """Walks one workflow; steps that an earlier process finished are not run again."""

    def __init__(
        self,
        manifest: Manifest,
        place: Place,
        journal: Journal,
        past: Past,
        admission: Admission,
        tell: Callable[[str, State, str, float | None], None],
        hear: Callable[[str, bytes], None] | None = None,
    ) -> None:
        self._manifest, self._place, self._journal, self._past = manifest, place, journal, past
        self._admission, self._tell, self._hear = admission, tell, hear
        self.steps: list[NodeResult] = []  # in the order in which they ended

    async def run(self, node: str, name: str, inputs: Mapping[str, str], workflow: Mapping[str, str]) -> NodeResult:
        """Run the template `name` as `node` ("" for a DAG that is the whole workflow).

        workflow: the values of `workflow.…`. Cancelling it stops every process, with the grace period.
        """
        template = self._manifest.template(name)
        values = {**workflow, **{f"inputs.parameters.{key}": value for key, value in inputs.items()}}
        if template.dag is None and (done := self._past.ended.get(node or name)):
            self._tell(done.id, "failed" if done.failed else "reused", done.message, None)
            self.steps.append(done)
            return done
        async with self._mutexes(template, node or name, values):
            if template.dag is not None:
                return await self._dag(node, template.dag, values, workflow)
            return await self._step(node or name, template, values)

    # DAGs

    async def _dag(self, node: str, dag: Dag, values: Mapping[str, str], workflow: Mapping[str, str]) -> NodeResult:
        ended: dict[str, NodeResult] = {}
        done = {task.name: asyncio.Event() for task in dag.tasks}

        async def one(task: Task) -> None:
            for name in needed_tasks(task):
                await done[name].wait()
            if (dag.fail_fast and dag_phase(dag.tasks, ended) in ("Failed", "Error")) or not _wanted(task, ended):
                result = NodeResult(_join(node, task.name), "Omitted", task.template)
            else:
                result = await self._task(node, dag, task, {**values, **_outputs(ended)}, workflow)
            ended[task.name] = result
            done[task.name].set()

        async with asyncio.TaskGroup() as group:
            for task in dag.tasks:
                group.create_task(one(task))
        return NodeResult(node, dag_phase(dag.tasks, ended) or "Succeeded")

    async def _task(
        self, node: str, dag: Dag, task: Task, values: Mapping[str, str], workflow: Mapping[str, str]
    ) -> NodeResult:
        path = _join(node, task.name)
        if task.with_param is None:
            return await self._one(path, task, values, workflow)
        try:
            items = json.loads(substitute(task.with_param, values))
            if not isinstance(items, list):
                raise ValueError(f"it is {type(items).__name__}, not a list")
        except (ValueError, SlipwayError) as error:
            return self._broken(path, task.template, f"withParam cannot be read: {error}")
        async with asyncio.TaskGroup() as group:
            children = [
                group.create_task(self._one(_join(node, name), task, {**values, **item_values(item)}, workflow))
                for name, item in zip(self._names(dag, task, items), items, strict=True)
            ]
        phases: list[Phase] = [child.result().phase for child in children]
        failed = next((phase for phase in phases if phase in ("Failed", "Error")), None)
        return NodeResult(path, failed or ("Succeeded" if items else "Skipped"), task.template)

    def _names(self, dag: Dag, task: Task, items: Sequence[Any]) -> list[str]:
        """A readable and unique node name for each item: `retire/digits`, and `digits` where only one task fans out."""
        labels = [str(next(iter(item.values()), "") if isinstance(item, dict) else item) for item in items]
        unique = len(set(labels)) == len(labels) and all(_LABEL.fullmatch(label) for label in labels)
        labels = labels if unique else [str(index) for index in range(len(items))]
        groups = [t for t in dag.tasks if t.with_param and self._manifest.template(t.template).dag]
        taken = {t.name for t in dag.tasks} | {ON_EXIT}
        if unique and groups == [task] and not taken & set(labels):
            return labels
        return [f"{task.name}/{label}" for label in labels]

    async def _one(self, node: str, task: Task, values: Mapping[str, str], workflow: Mapping[str, str]) -> NodeResult:
        try:
            if task.when is not None and not evaluate(task.when, {}, values):
                self._tell(node, "skipped", task.when, None)
                return NodeResult(node, "Skipped", task.template)
            template = self._manifest.template(task.template)
            inputs = {p.name: p.default for p in template.inputs.parameters if p.default is not None}
            inputs |= {p.name: substitute(p.value or "", values) for p in task.arguments.parameters}
        except SlipwayError as error:
            return self._broken(node, task.template, str(error), error.exit_code)
        return await self.run(node, task.template, inputs, workflow)

    def _broken(self, node: str, template: str, message: str, code: int = 78) -> NodeResult:
        return self._end(NodeResult(node, "Error", template, exit_code=code, message=message))

    # Steps

    async def _step(self, node: str, template: Template, values: Mapping[str, str]) -> NodeResult:
        try:
            return self._end(await self._attempts(node, template, values))
        except SlipwayError as error:
            return self._broken(node, template.name, str(error), error.exit_code)
        except OSError as error:
            message = f"{error.strerror} ({error.filename or self._place.folder}); free space or choose another folder"
            return self._broken(node, template.name, message, TryAgain.exit_code)

    def _end(self, result: NodeResult) -> NodeResult:
        self._journal.ended(result)
        self.steps.append(result)
        self._tell(result.id, "failed" if result.failed else "ok", result.message, result.seconds)
        return result

    async def _attempts(self, node: str, template: Template, values: Mapping[str, str]) -> NodeResult:
        wanted = needs(template, values, node)
        starts = list(self._past.attempts.get(node, ()))
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
            self._tell(node, "retry", f"{result.message}; again in {wait:g} s", None)
            await asyncio.sleep(wait)

    async def _attempt(
        self, node: str, template: Template, values: Mapping[str, str], grant: Grant, count: int
    ) -> NodeResult:
        scratch = self._place.folder / ".scratch" / f"{node.replace('/', '.')}.{count}"
        scratch.mkdir(parents=True)
        path = self._place.folder / f"{node}.log"
        hear = self._hear
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
            result = NodeResult(
                node,
                "Error" if ended.lost else "Failed" if ended.exit_code or ended.reason else "Succeeded",
                template.name,
                exit_code=ended.exit_code,
                reason=ended.reason,
                seconds=round(ended.seconds, 3),
                attempts=count,
                log=path,
            )
            if result.failed:
                said = "" if ended.reason or ended.lost else log.last_line()
                return replace(result, message=said or ended.message)
            return _with_outputs(result, template, call.mounts)
        finally:
            log.close()
            shutil.rmtree(scratch, ignore_errors=True)

    @asynccontextmanager
    async def _mutexes(self, template: Template, node: str, values: Mapping[str, str]) -> AsyncIterator[None]:
        names = (
            sorted(substitute(m.name, values) for m in template.synchronization.mutexes)
            if template.synchronization
            else []
        )
        async with AsyncExitStack() as stack:
            for name in names:
                told = False
                while not isinstance(lock := try_lock(self._place.locks, f"mutex {name}", self._place.mark), Lock):
                    if not told:
                        self._tell(
                            node, "waiting", f"mutex {name}, held by {lock.rstrip(':').rpartition('/')[2]}", None
                        )
                        told = True
                    await asyncio.sleep(_POLL)
                stack.callback(lock.release)
            yield


def dag_phase(tasks: Sequence[Task], ended: Mapping[str, NodeResult]) -> Phase | None:
    """A DAG's phase from those of its last tasks, as in Argo; None while it is open.

    A task that did not run takes the phase of what it waited for, failures first; so a failure that a later task was
    there to handle does not fail the DAG.
    """
    by_name = {task.name: task for task in tasks}
    inner = set().union(*(needed_tasks(task) for task in tasks))

    def phase(name: str) -> Phase | None:
        result = ended.get(name)
        if result is None:
            return None
        if result.phase in ("Succeeded", "Failed", "Error"):
            return result.phase
        above = [phase(parent) for parent in needed_tasks(by_name[name])]
        return next((p for p in above if p in ("Failed", "Error")), "Succeeded")

    leaves = [phase(task.name) for task in tasks if task.name not in inner]
    failed = next((p for p in leaves if p in ("Failed", "Error")), None)
    return failed or (None if None in leaves else "Succeeded")


def _wanted(task: Task, ended: Mapping[str, NodeResult]) -> bool:
    if task.depends is None:
        return True
    names: dict[str, bool | int | float | str] = {}
    for name in needed_tasks(task):
        phase = ended[name].phase
        names[name] = phase in ("Succeeded", "Skipped")
        for result in ("Succeeded", "Failed", "Skipped", "Omitted"):
            names[f"{name}.{result}"] = phase == result
        names[f"{name}.Errored"] = phase == "Error"
    return evaluate(task.depends, names)


def _outputs(ended: Mapping[str, NodeResult]) -> dict[str, str]:
    return {
        f"tasks.{task}.outputs.parameters.{name}": value
        for task, result in ended.items()
        for name, value in result.outputs.items()
    }


def _with_outputs(result: NodeResult, template: Template, mounts: Mapping[str, Path]) -> NodeResult:
    outputs = {}
    for output in template.outputs.parameters:
        try:
            outputs[output.name] = read_output(output.value_from.path, mounts, output.value_from.default)
        except (OSError, ValueError) as error:
            return replace(result, phase="Error", exit_code=78, message=f"output {output.name} cannot be read: {error}")
    return replace(result, outputs=outputs)


def _join(node: str, name: str) -> str:
    return f"{node}/{name}" if node else name
