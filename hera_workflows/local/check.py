"""Whether a manifest can run at all: every name in it must lead somewhere before the first step starts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from hera_workflows.local.expression import names_in
from hera_workflows.local.manifest import Dag, Manifest, Task, Template
from hera_workflows.local.substitution import holes_in
from slipway.errors import Misconfigured

__all__ = ["TASK_RESULTS", "check", "needed_tasks", "workflow_parameters"]

TASK_RESULTS = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted")
_WORKFLOW = {"workflow.name", "workflow.uid", "workflow.namespace", "workflow.creationTimestamp"}
_AT_EXIT = {"workflow.status", "workflow.failures", "workflow.duration"}
_RETRY = {"lastRetry.exitCode", "lastRetry.status", "lastRetry.duration", "lastRetry.message"}


def check(manifest: Manifest, images: Collection[str], volumes: Mapping[str, Path]) -> None:
    """Raise Misconfigured, with the field's path, for the first name that leads nowhere.

    images: those that the values name; volumes: the caller's folder for each claim and Secret.
    """
    names = [template.name for template in manifest.spec.templates]
    _unique(names, "spec.templates")
    for field, name in (("entrypoint", manifest.spec.entrypoint), ("onExit", manifest.spec.on_exit)):
        if name is not None and name not in names:
            raise Misconfigured(f"spec.{field}: there is no template {name!r}; there are {', '.join(names)}")
    _unique([volume.name for volume in manifest.spec.volumes], "spec.volumes")
    _check_volumes(manifest, volumes)
    known = _WORKFLOW | {f"workflow.parameters.{p.name}" for p in manifest.spec.arguments.parameters}
    at_exit = _reachable(manifest, manifest.spec.on_exit)
    _reachable(manifest, manifest.spec.entrypoint)
    for count, template in enumerate(manifest.spec.templates):
        where = f"spec.templates[{count}]"
        if (template.dag is None) == (template.container is None):
            raise Misconfigured(f"{where}: give exactly one of dag and container")
        here = known | (_AT_EXIT if template.name in at_exit else set())
        here |= {f"inputs.parameters.{p.name}" for p in template.inputs.parameters}
        if template.dag is not None:
            _check_dag(template, template.dag, {t.name: t for t in manifest.spec.templates}, here, where)
        else:
            _check_step(manifest, template, here, images, where)


def needed_tasks(task: Task) -> set[str]:
    """The tasks that `depends` names."""
    return {name.partition(".")[0] for name in names_in(task.depends)} if task.depends else set()


def workflow_parameters(manifest: Manifest, given: Mapping[str, str]) -> dict[str, str]:
    """The workflow's parameters, the caller's values first; raises Misconfigured for a missing or an unknown one."""
    declared = {parameter.name: parameter.value for parameter in manifest.spec.arguments.parameters}
    if unknown := sorted(given.keys() - declared.keys()):
        raise Misconfigured(f"parameter {unknown[0]} is unknown; {manifest.metadata.name} takes {', '.join(declared)}")
    values = {name: given.get(name, value) for name, value in declared.items()}
    if missing := [name for name, value in values.items() if value is None]:
        raise Misconfigured(f"parameter {missing[0]} has no value; give it with -p {missing[0]}=VALUE")
    return {name: value for name, value in values.items() if value is not None}


def _check_dag(template: Template, dag: Dag, templates: Mapping[str, Template], known: set[str], where: str) -> None:
    if (
        template.retry_strategy
        or template.active_deadline_seconds
        or template.pod_spec_patch
        or template.outputs.parameters
        or template.outputs.artifacts
    ):
        raise Misconfigured(f"{where}: retries, deadlines, patches and outputs are honoured on containers only")
    if template.fail_fast is not None and template.fail_fast != dag.fail_fast:
        raise Misconfigured(f"{where}.failFast: differs from {where}.dag.failFast; give both the same value")
    tasks = {task.name: task for task in dag.tasks}
    _unique([task.name for task in dag.tasks], f"{where}.dag.tasks")
    _check_holes(template.synchronization, known, f"{where}.synchronization")
    for count, task in enumerate(dag.tasks):
        place = f"{where}.dag.tasks[{count}]"
        if task.template not in templates:
            raise Misconfigured(f"{place}.template: there is no template {task.template!r}")
        _check_arguments(task, templates[task.template], place)
        for name in names_in(task.depends) if task.depends else ():
            dependency, _, result = name.partition(".")
            if dependency not in tasks or (result and result not in TASK_RESULTS):
                raise Misconfigured(
                    f"{place}.depends: {name} is unknown; use a task of this DAG, with one of {', '.join(TASK_RESULTS)}"
                )
        if task.when and names_in(task.when):
            raise Misconfigured(f"{place}.when: quote {sorted(names_in(task.when))[0]!r} if it is a text")
        outputs = {
            f"tasks.{name}.outputs.parameters." for name in _before(task, tasks, place) if not tasks[name].with_param
        }
        given = {h for h in _all_holes(task) if any(h.startswith(prefix) for prefix in outputs)}
        items = {h for h in _all_holes(task) if task.with_param and h.split(".")[0] == "item"}
        _check_holes(task, known | given | items, place)


def _check_arguments(task: Task, template: Template, place: str) -> None:
    given = {parameter.name for parameter in task.arguments.parameters}
    taken = {parameter.name: parameter.default for parameter in template.inputs.parameters}
    if unknown := sorted(given - taken.keys()):
        raise Misconfigured(f"{place}.arguments: template {template.name} takes no parameter {unknown[0]}")
    if missing := [name for name, default in taken.items() if default is None and name not in given]:
        raise Misconfigured(f"{place}.arguments: template {template.name} needs {missing[0]}")


def _before(task: Task, tasks: Mapping[str, Task], place: str) -> set[str]:
    """Every task that ends before this one begins; raises Misconfigured if this one is among them."""
    found: set[str] = set()
    open_ = needed_tasks(task)
    while open_:
        name = open_.pop()
        if name == task.name:
            raise Misconfigured(f"{place}.depends: {task.name} waits for itself")
        if name in tasks and name not in found:
            found.add(name)
            open_ |= needed_tasks(tasks[name])
    return found


def _check_step(manifest: Manifest, template: Template, known: set[str], images: Collection[str], where: str) -> None:
    container = template.container
    assert container is not None
    if container.image not in images:
        raise Misconfigured(f"{where}.container.image: {container.image!r} is not in the values' images")
    if template.fail_fast is not None:
        raise Misconfigured(f"{where}.failFast: only a DAG has it")
    volumes = {volume.name for volume in manifest.spec.volumes}
    for count, mount in enumerate(container.volume_mounts):
        if mount.name not in volumes:
            raise Misconfigured(f"{where}.container.volumeMounts[{count}].name: there is no volume {mount.name!r}")
    if template.retry_strategy and template.retry_strategy.expression:
        expression = template.retry_strategy.expression
        if unknown := names_in(expression) - _RETRY:
            raise Misconfigured(f"{where}.retryStrategy.expression: {sorted(unknown)[0]} is unknown")
    _check_holes(template, known, where)


def _check_volumes(manifest: Manifest, given: Mapping[str, Path]) -> None:
    for count, volume in enumerate(manifest.spec.volumes):
        sources = [s for s in (volume.persistent_volume_claim, volume.secret, volume.empty_dir) if s is not None]
        if len(sources) != 1:
            raise Misconfigured(
                f"spec.volumes[{count}]: give exactly one of persistentVolumeClaim, secret and emptyDir"
            )
        claim = volume.persistent_volume_claim.claim_name if volume.persistent_volume_claim else None
        claim = volume.secret.secret_name if volume.secret and not volume.secret.optional else claim
        if claim is not None and claim not in given and _mounted(manifest, volume.name):
            raise Misconfigured(
                f"spec.volumes[{count}]: no folder is given for {claim}; give it with --volume {claim}=FOLDER"
            )


def _mounted(manifest: Manifest, volume: str) -> bool:
    return any(
        mount.name == volume
        for template in manifest.spec.templates
        if template.container
        for mount in template.container.volume_mounts
    )


def _reachable(manifest: Manifest, name: str | None, above: tuple[str, ...] = ()) -> set[str]:
    """The templates that a template leads to, itself included; raises Misconfigured when it leads to itself."""
    if name is None:
        return set()
    if name in above:
        raise Misconfigured(
            f"template {name} contains itself ({' → '.join((*above, name))}); the local runner does not loop"
        )
    found = {name}
    template = next((t for t in manifest.spec.templates if t.name == name), None)
    for task in template.dag.tasks if template and template.dag else ():
        found |= _reachable(manifest, task.template, (*above, name))
    return found


def _check_holes(value: Any, known: set[str], where: str) -> None:
    if unknown := sorted(_all_holes(value) - known):
        hole = "{{" + unknown[0] + "}}"
        raise Misconfigured(f"{where}: {hole} is unknown here; known are {', '.join(sorted(known))}")


def _all_holes(value: Any) -> set[str]:
    return holes_in(_texts(value.model_dump() if isinstance(value, BaseModel) else value))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _unique(names: list[str], where: str) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Misconfigured(f"{where}: {twice[0]} is there twice")
