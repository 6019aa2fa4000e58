"""A training alone in a workflow: the step of slipway-push, without what comes before and after it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.change import Change, Changes
from tests.cluster.asking import until

if TYPE_CHECKING:
    from tests.cluster.kube import Kube

__all__ = ["COMMIT", "HERE", "PY", "STARTING", "TRAINING", "YAML", "Start", "Training", "remove", "workflow"]

HERE = "--namespace=slipway"
COMMIT = "a" * 40
STARTING, TRAINING = 120, 420  # seconds that a busy machine may take
ENDED = ("Succeeded", "Failed", "Error")
YAML = """\
name: clouds
task: multiclass-classification
train: {params: {epochs: 6, lr: 0.05}}
gates: {accuracy: ">= 0.5"}
"""
# It draws random numbers, which a training that goes on must draw alike. Where there is a pipe it waits for whoever
# writes to it.
PY = """\
import numpy as np
import torch
from torch import nn


def data(split):
    draw = np.random.default_rng({"train": 1, "validation": 2, "test": 3}[split])
    labels = draw.integers(0, 3, 300)
    return (draw.normal(size=(300, 4)) + 2 * np.eye(3, 4)[labels]).astype("float32"), labels


def train(ctx):
    inputs, labels = data("train")
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=ctx.params["lr"], momentum=0.9)
    pipe = ctx.checkpoint_dir.parent / "pipe"
    for epoch in ctx.epochs(model=model, optimizer=optimizer):
        with pipe.with_name("epochs").open("a") as file:
            print(epoch, file=file)
        if epoch == 3 and pipe.exists():
            pipe.read_text()
        for x, y in ctx.batches(inputs, labels, size=64):
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model
"""


@dataclass(frozen=True, slots=True)
class Training:
    """The step of slipway-push that trains, alone in a workflow."""

    kube: Kube
    name: str
    folder: Path  # the run's in the workspace

    @property
    def work(self) -> Path:
        return self.folder / "clouds"

    def status(self) -> dict[str, Any]:
        found = self.kube.get("workflow", self.name, HERE) or {}
        status: dict[str, Any] = found.get("status") or {}
        return status

    def attempts(self) -> list[dict[str, Any]]:
        """Its pods as Argo knows them, the first one first."""
        nodes = [node for node in self.status().get("nodes", {}).values() if node["type"] == "Pod"]
        return sorted(nodes, key=lambda node: str(node["displayName"]))

    def pod(self) -> dict[str, Any]:
        """The pod that is there, when there is one."""
        listed = [HERE, f"--selector=workflows.argoproj.io/workflow={self.name}"]
        return until(
            lambda: next(iter((self.kube.get("pods", *listed) or {}).get("items", [])), None),
            STARTING,
            "a pod is there",
        )

    def waits(self, why: str) -> None:
        """Return when Argo says that it waits for that."""

        def says() -> bool | None:
            status = self.status()
            assert status.get("phase") not in ENDED, status.get("message")
            return True if any(why in node.get("message", "") for node in self.attempts()) else None

        until(says, STARTING, why)

    def ended(self) -> str:
        return until(lambda: next((p for p in ENDED if p == self.status().get("phase")), None), TRAINING, "it ended")

    def weights(self) -> bytes:
        return (self.work / "train/weights.safetensors").read_bytes()


Start = Callable[..., Training]


def workflow(name: str, spec: dict[str, Any], change: Change) -> dict[str, Any]:
    """The rendered template, but for what begins it: plan's answer goes straight to training."""
    templates = {template["name"]: template for template in spec["templates"]}
    fanned = next(task for task in templates["push"]["dag"]["tasks"] if task["name"] == "model")
    taken = {parameter["name"] for parameter in templates["train"]["inputs"]["parameters"]}
    passed = [parameter for parameter in fanned["arguments"]["parameters"] if parameter["name"] in taken]
    task = {
        "name": "model",
        "template": "train",
        "withParam": Changes.dump_json([change]).decode(),
        "arguments": {"parameters": passed},
    }
    only = {"name": "only", "dag": {"tasks": [task]}}
    known = [{"value": "", **parameter} for parameter in spec["arguments"]["parameters"]]
    changed = {"entrypoint": "only", "templates": [templates["train"], only], "arguments": {"parameters": known}}
    kept = {key: value for key, value in spec.items() if key != "onExit"}
    metadata = {"name": name, "namespace": "slipway"}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "spec": {**kept, **changed}}


def remove(training: Training) -> None:
    training.kube.run("delete", "workflow", training.name, HERE, "--ignore-not-found", "--wait=true", seconds=90)
    pods = [HERE, f"--selector=workflows.argoproj.io/workflow={training.name}"]
    # Until then kubelet makes the folders that it mounts.
    training.kube.run("delete", "pods", *pods, "--grace-period=1", "--wait=true", seconds=90)
    shutil.rmtree(training.folder, ignore_errors=True)
