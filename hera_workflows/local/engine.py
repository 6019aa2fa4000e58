"""In which order a workflow's steps run, and what follows from how each of them ends."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from hera_workflows.local.check import needed_tasks
from hera_workflows.local.expression import evaluate
from hera_workflows.local.journal import Journal, Past
from hera_workflows.local.locks import Lock, try_lock
from hera_workflows.local.manifest import Dag, Manifest, Task, Template
from hera_workflows.local.result import ON_EXIT, NodeResult, Phase
from hera_workflows.local.steps import Place, Steps, Tell
from hera_workflows.local.substitution import item_values, substitute
from slipway.errors import SlipwayError

__all__ = ["Engine", "dag_phase"]

_POLL = 0.1  # seconds between two looks at a mutex
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


class Engine:
    """Walks one workflow; steps that an earlier process finished are not run again."""

    def __init__(
        self, manifest: Manifest, place: Place, journal: Journal, past: Past, steps: Steps, tell: Tell
    ) -> None:
        self._manifest, self._place, self._journal, self._past = manifest, place, journal, past
        self._steps, self._tell = steps, tell
        self.ended: list[NodeResult] = []  # steps, in the order in which they ended

    async def run(self, node: str, name: str, inputs: Mapping[str, str], scope: Mapping[str, str]) -> NodeResult:
        """Run the template `name` as `node` ("" for the workflow itself).

        scope: values by name; a template sees those of the workflow, and its inputs. Cancelling it stops every
        process, with the grace period.
        """
        template = self._manifest.template(name)
        values = {key: value for key, value in scope.items() if key.startswith("workflow.")}
        values |= {f"inputs.parameters.{key}": value for key, value in inputs.items()}
        step = node or name
        if template.dag is None and (past := self._past.ended.get(step)):
            self.ended.append(past)
            self._tell(step, "failed" if past.failed else "reused", past.why, None)
            return past
        async with self._mutexes(template, step, values):
            if template.dag is not None:
                return await self._dag(node, template.dag, values)
            earlier = tuple(self._past.attempts.get(step, ()))
            return self._end(await self._steps.run(step, template, values, earlier))

    def _end(self, result: NodeResult) -> NodeResult:
        self._journal.ended(result)
        self.ended.append(result)
        self._tell(result.id, "failed" if result.failed else "ok", result.why, result.seconds)
        return result

    async def _dag(self, node: str, dag: Dag, values: Mapping[str, str]) -> NodeResult:
        ended: dict[str, NodeResult] = {}
        done = {task.name: asyncio.Event() for task in dag.tasks}

        async def one(task: Task) -> None:
            for name in needed_tasks(task):
                await done[name].wait()
            stopped = dag.fail_fast and dag_phase(dag.tasks, ended) in ("Failed", "Error")
            if stopped or not _wanted(task, ended):
                result = NodeResult(_join(node, task.name), "Omitted", task.template)
            else:
                result = await self._task(node, dag, task, {**values, **_outputs(ended)})
            ended[task.name] = result
            done[task.name].set()

        async with asyncio.TaskGroup() as group:
            for task in dag.tasks:
                group.create_task(one(task))
        return NodeResult(node, dag_phase(dag.tasks, ended) or "Succeeded")

    async def _task(self, node: str, dag: Dag, task: Task, values: Mapping[str, str]) -> NodeResult:
        path = _join(node, task.name)
        if task.with_param is None:
            return await self._one(path, task, values)
        try:
            items = json.loads(substitute(task.with_param, values))
            if not isinstance(items, list):
                raise ValueError(f"it is {type(items).__name__}, not a list")
        except (ValueError, RecursionError, SlipwayError) as error:
            return self._broken(path, task, f"withParam cannot be read: {error}", 78)
        async with asyncio.TaskGroup() as group:
            children = [
                group.create_task(self._one(_join(node, name), task, {**values, **item_values(item)}))
                for name, item in zip(self._names(dag, task, items), items, strict=True)
            ]
        failed = next((child.result().phase for child in children if child.result().failed), None)
        return NodeResult(path, failed or ("Succeeded" if items else "Skipped"), task.template)

    def _names(self, dag: Dag, task: Task, items: Sequence[Any]) -> list[str]:
        """A readable and unique node name for each item: `retire/digits`, and `digits` where only one task fans out."""
        labels = [str(next(iter(item.values()), "") if isinstance(item, dict) else item) for item in items]
        if len(set(labels)) < len(labels) or not all(_LABEL.fullmatch(label) for label in labels):
            return [f"{task.name}/{index}" for index in range(len(items))]
        groups = [t for t in dag.tasks if t.with_param and self._manifest.template(t.template).dag]
        taken = {t.name for t in dag.tasks} | {ON_EXIT}
        if groups == [task] and not taken & set(labels):
            return labels
        return [f"{task.name}/{label}" for label in labels]

    async def _one(self, node: str, task: Task, values: Mapping[str, str]) -> NodeResult:
        try:
            if task.when is not None and not evaluate(task.when, {}, values):
                self._tell(node, "skipped", task.when, None)
                return NodeResult(node, "Skipped", task.template)
            template = self._manifest.template(task.template)
            inputs = {p.name: p.default for p in template.inputs.parameters if p.default is not None}
            inputs |= {p.name: substitute(p.value or "", values) for p in task.arguments.parameters}
        except SlipwayError as error:
            return self._broken(node, task, str(error), error.exit_code)
        return await self.run(node, task.template, inputs, values)

    def _broken(self, node: str, task: Task, message: str, code: int) -> NodeResult:
        return self._end(NodeResult(node, "Error", task.template, exit_code=code, message=message))

    @asynccontextmanager
    async def _mutexes(self, template: Template, node: str, values: Mapping[str, str]) -> AsyncIterator[None]:
        mutexes = template.synchronization.mutexes if template.synchronization else []
        async with AsyncExitStack() as stack:
            # In order of their names: two templates that take the same two mutexes do not wait for each other.
            for name in sorted(substitute(mutex.name, values) for mutex in mutexes):
                told = False
                while not isinstance(lock := try_lock(self._place.locks, f"mutex {name}", self._place.mark), Lock):
                    if not told:
                        self._tell(node, "waiting", f"mutex {name}, held by {Path(lock.rsplit(':', 2)[0]).name}", None)
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

    @cache
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


def _join(node: str, name: str) -> str:
    return f"{node}/{name}" if node else name
