"""Does a training get the nodes and GPUs that it asks for, and survive what takes its pod away?"""

from __future__ import annotations

import errno
import json
import os
import select
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from hera_workflows.source_status import Failed, endings
from hera_workflows.steps.report_outcome import Failure, outcome
from hera_workflows.templates.render import render
from hera_workflows.templates.values import Values
from slipway.change import Change, Changes
from tests.cluster.asking import until

if TYPE_CHECKING:
    from tests.cluster.kube import Kube
    from tests.cluster.place import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

HERE = "--namespace=slipway"
COMMIT = "a" * 40
STARTING, TRAINING = 120, 420  # seconds that a busy machine may take
ENDED = ("Succeeded", "Failed", "Error")
NODES = {"kubernetes.io/os": "linux"}
TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
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


@pytest.fixture(scope="module")
def start(place: Place, kube: Kube) -> Iterator[Start]:
    """Starts a training by name; its workflows and what they wrote are removed afterwards."""
    claim = kube.get("pvc", "slipway-workspace", HERE)
    assert claim
    workspace = place.path("volumes", claim["spec"]["volumeName"])
    values = Values.model_validate(yaml.safe_load(place.path("install/values.yaml").read_text()))
    spec = yaml.safe_load(render(values)["workflows/slipway-push.yaml"])["spec"]
    started: list[Training] = []

    def begin(name: str, *, py: str = PY, pipe: bool = False, **needs: Any) -> Training:
        training = Training(kube, f"training-tests-{name}", workspace / f"training-tests-{name}")
        _remove(training)
        started.append(training)
        model = training.folder / "source/models/clouds"
        for folder in (model, training.work, workspace / "datasets/clouds"):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o777)
        (model / "model.yaml").write_text(YAML)
        (model / "model.py").write_text(py)
        if pipe:
            os.mkfifo(training.work / "pipe")
            (training.work / "pipe").chmod(0o666)
        asked = {"cpu": "100m", "memory": "1Gi", "ephemeral_storage": "256Mi", **needs}
        change = Change.model_validate(
            {"model": "clouds", "action": "changed", "commit": COMMIT, "why": "tests", **asked}
        )
        kube.apply([_workflow(training.name, spec, change)])
        return training

    yield begin
    for training in started:
        _remove(training)
    shutil.rmtree(workspace / "datasets/clouds", ignore_errors=True)


def _workflow(name: str, spec: dict[str, Any], change: Change) -> dict[str, Any]:
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


def _remove(training: Training) -> None:
    training.kube.run("delete", "workflow", training.name, HERE, "--ignore-not-found", "--wait=true", seconds=90)
    pods = [HERE, f"--selector=workflows.argoproj.io/workflow={training.name}"]
    # Until then kubelet makes the folders that it mounts.
    training.kube.run("delete", "pods", *pods, "--grace-period=1", "--wait=true", seconds=90)
    shutil.rmtree(training.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def whole(start: Start) -> tuple[Training, dict[str, Any]]:
    """A training that nothing disturbed, which asked for a GPU, and its pod."""
    training = start("whole", gpus="1", node_selector=NODES, tolerations=[TAINT])
    pod = training.pod()
    assert training.ended() == "Succeeded", training.attempts()
    return training, pod


def test_a_training_pod_has_the_gpus_and_the_nodes_that_model_yaml_asks_for(
    whole: tuple[Training, dict[str, Any]],
) -> None:
    spec = whole[1]["spec"]
    main = next(container for container in spec["containers"] if container["name"] == "main")
    assert main["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert spec["nodeSelector"] == NODES
    assert TAINT in spec["tolerations"]


def test_a_training_waits_while_no_node_has_as_many_gpus(start: Start) -> None:
    training = start("many", gpus="3")
    training.waits("Insufficient nvidia.com/gpu")
    assert training.status()["phase"] == "Running"


def test_a_training_waits_while_no_node_has_its_labels(start: Start) -> None:
    training = start("elsewhere", node_selector={"cloud.example/accelerator": "h200"})
    training.waits("didn't match Pod's node affinity/selector")
    assert training.status()["phase"] == "Running"


def test_a_training_beyond_the_quota_starts_when_there_is_room(start: Start, kube: Kube) -> None:
    named = {"name": "training-tests", "namespace": "slipway"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": named}
    kube.apply([{**quota, "spec": {"hard": {"requests.nvidia.com/gpu": "0"}}}])
    try:
        until(lambda: (kube.get("resourcequota", named["name"], HERE) or {}).get("status"), 30, "the quota holds")
        training = start("queued", gpus="1")
        training.waits("exceeded quota")
        assert training.status()["phase"] == "Running"
    finally:
        kube.run("delete", "resourcequota", named["name"], HERE)
    assert training.pod()


def _delete(kube: Kube, pod: str) -> None:
    kube.run("delete", "pod", pod, HERE, "--grace-period=0", "--force")


def _evict(kube: Kube, pod: str) -> None:
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": "slipway"}}
    path = f"/api/v1/namespaces/slipway/pods/{pod}/eviction"
    kube.run("create", f"--raw={path}", "-f", "-", text=json.dumps(eviction))


@pytest.mark.parametrize("take", [_delete, _evict], ids=["deleted", "evicted"])
def test_a_training_whose_pod_is_taken_away_goes_on_and_ends_at_the_same_weights(
    start: Start, kube: Kube, whole: tuple[Training, dict[str, Any]], take: Callable[[Kube, str], None]
) -> None:
    training = start(take.__name__.strip("_"), pipe=True)
    pipe = training.work / "pipe"
    # Open at this end the pipe keeps the training where it is.
    held = until(lambda: _writer(pipe), TRAINING, "the training is in its fourth epoch")
    pod = training.pod()["metadata"]["name"]
    take(kube, pod)
    until(lambda: True if _lost(held) else None, STARTING, "its process is gone")
    pipe.unlink()
    os.close(held)

    assert training.ended() == "Succeeded", training.attempts()
    # Of retries Argo may know nothing: a pod that it has not seen running is made again under its name.
    epochs = (training.work / "epochs").read_text().split()
    assert (epochs.count("0"), epochs.count("3")) == (1, 2)
    assert training.weights() == whole[0].weights()


def _lost(pipe: int) -> bool:
    """Whether nobody reads any more."""
    poll = select.poll()
    poll.register(pipe, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _writer(pipe: Path) -> int | None:
    """The pipe's end for writing, once somebody reads."""
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None


def test_a_model_that_is_refused_is_not_tried_again(start: Start) -> None:
    training = start("refused", py="import no_such_library\n")
    assert training.ended() == "Failed"
    (only,) = training.attempts()
    assert "(exit code 65): slipway [clouds]: " in only["message"]


def test_a_training_without_enough_memory_says_so_and_is_not_tried_again(start: Start) -> None:
    training = start("memory", py=f"import numpy\nnumpy.ones(1 << 28)\n{PY}", memory="512Mi")
    assert training.ended() == "Failed"
    (only,) = training.attempts()
    words = "out of memory: used more than 512Mi; raise train.memory"
    failure = Failure(displayName=only["displayName"], message=only["message"], templateName="train")
    said = endings(["clouds"], False, [Failed(failure.displayName, failure.message)], {})["clouds"]
    assert words in outcome("Failed", training.name, [failure]).line
    assert said.text == words
