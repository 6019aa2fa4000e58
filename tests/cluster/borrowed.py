"""Pods as the installed WorkflowTemplates, or Argo Events, make them, with another program in place of theirs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.cluster.asking import until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.cluster.kube import Kube

__all__ = ["beside", "said", "submit"]

_SMALL = {"gpus": "0", "cpu": "50m", "memory": "256Mi", "ephemeral-storage": "256Mi"}
_VALUES = {"commit": "0" * 40, "number": "1", "digest": "none", "timeout-seconds": "300", "data": "none"}
_VALUES |= {**_SMALL, "node-selector": "{}", "tolerations": "[]"}
# What would repeat, end, delay or delete the pods of a program that is not the step's.
_OF_STEPS = ("retryStrategy", "outputs", "synchronization", "activeDeadlineSeconds")
_OF_CONTAINERS = ("name", "env", "envFrom", "resources", "securityContext", "volumeMounts")
_OF_WORKFLOWS = ("onExit", "podGC", "entrypoint", "templates", "arguments", "archiveLogs")


def submit(
    kube: Kube,
    name: str,
    template: str,
    steps: Sequence[str],
    command: Callable[[str], list[str]],
    values: Mapping[str, str],
) -> None:
    """Create a workflow of these steps of a WorkflowTemplate, one after another; each runs command(step).

    The pods stay as they are; of the steps and the workflow goes what would repeat, end, delay or delete them.
    """
    installed = kube.get("workflowtemplate", template, "--namespace=slipway") or {}
    spec = installed["spec"]
    given = {**_VALUES, **values}
    templates = [
        {
            **{key: value for key, value in one.items() if key not in _OF_STEPS},
            "container": {**one["container"], "command": command(one["name"]), "args": []},
        }
        for one in spec["templates"]
        if one["name"] in steps
    ]
    templates.sort(key=lambda one: steps.index(one["name"]))
    tasks = [[{"name": one["name"], "template": one["name"], "arguments": _arguments(one, given)}] for one in templates]
    kept = {key: value for key, value in spec.items() if key not in _OF_WORKFLOWS}
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name, "namespace": "slipway"},
        "spec": {**kept, "entrypoint": "attempts", "templates": [{"name": "attempts", "steps": tasks}, *templates]},
    }
    kube.run("create", "-f", "-", text=json.dumps(workflow))


def _arguments(template: dict[str, object], given: Mapping[str, str]) -> dict[str, object]:
    inputs = template.get("inputs")
    wanted = inputs.get("parameters", []) if isinstance(inputs, dict) else []
    return {"parameters": [{"name": one["name"], "value": given[one["name"]]} for one in wanted]}


def said(kube: Kube, workflow: str, step: str) -> str:
    """What the step's program printed, once its pod has ended."""
    where = [f"--selector=workflows.argoproj.io/workflow={workflow},slipway/step={step}", "--namespace=slipway"]

    def log() -> str | None:
        pods = (kube.get("pods", *where) or {}).get("items", [])
        ended = [pod for pod in pods if pod["status"].get("phase") in {"Succeeded", "Failed"}]
        return kube.run("logs", ended[0]["metadata"]["name"], "-c=main", "--namespace=slipway") if ended else None

    return until(log, 240, f"the pod of {step} has ended")


def beside(kube: Kube, name: str, selector: str, image: str, command: list[str]) -> str:
    """What the program printed in a pod like the one that runs: with its account, Secrets and policies."""

    def alone() -> dict[str, Any] | None:
        pods = (kube.get("pods", f"--selector={selector}", "--namespace=slipway") or {})["items"]
        return pods[0] if [pod["status"]["phase"] for pod in pods] == ["Running"] else None

    running = until(alone, 120, f"one pod of {selector} runs")
    [container] = running["spec"]["containers"]
    kept = {key: container[key] for key in _OF_CONTAINERS if key in container}
    spec = {**running["spec"], "containers": [{**kept, "image": image, "command": command}], "restartPolicy": "Never"}
    # What policies select it by, and no more: the Service of the one that runs sends it no deliveries.
    labels = {"controller": running["metadata"]["labels"]["controller"]}
    metadata = {"name": name, "namespace": "slipway", "labels": labels}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    kube.run("create", "-f", "-", text=json.dumps(pod))

    def log() -> str | None:
        status = (kube.get("pod", name, "--namespace=slipway") or {}).get("status", {})
        return kube.run("logs", name, "--namespace=slipway") if status.get("phase") in {"Succeeded", "Failed"} else None

    try:
        return until(log, 120, f"the pod beside {selector} has ended")
    finally:
        kube.run("delete", "pod", name, "--namespace=slipway", "--wait=false")
