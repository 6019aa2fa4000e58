"""Does a training get the nodes and GPUs that it asks for, and survive what takes its pod away?"""

from __future__ import annotations

import errno
import json
import os
import select
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from hera_workflows.source_status import Failed, endings
from hera_workflows.steps.report_outcome import Failure, outcome
from hera_workflows.templates.render import render
from hera_workflows.templates.values import Values
from slipway.change import Change
from tests.cluster.asking import until
from tests.cluster.place import NODE
from tests.cluster.training import COMMIT, HERE, PY, STARTING, TRAINING, YAML, Start, Training, remove, workflow

if TYPE_CHECKING:
    from tests.cluster.kube import Kube
    from tests.cluster.place import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

NODES = {"kubernetes.io/os": "linux"}
TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
TAKEN = "slipway.test/taken"
# As a machine without memory does, once.
KILLED_ONCE = """\
import os
from pathlib import Path

killed = Path("../clouds/killed")
if not killed.exists():
    killed.touch()
    os.kill(os.getpid(), 9)
"""


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
        remove(training)
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
        kube.apply([workflow(training.name, spec, change)])
        return training

    yield begin
    for training in started:
        remove(training)
    shutil.rmtree(workspace / "datasets/clouds", ignore_errors=True)


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


def test_a_training_starts_when_another_gives_its_gpus_back(start: Start) -> None:
    first = start("first", gpus="2", pipe=True)
    held = until(lambda: _writer(first.work / "pipe"), TRAINING, "the first training is in its fourth epoch")
    second = start("second", gpus="1")
    second.waits("Insufficient nvidia.com/gpu")

    os.close(held)

    assert [first.ended(), second.ended()] == ["Succeeded", "Succeeded"]


def test_a_training_waits_while_no_node_has_its_labels(start: Start) -> None:
    training = start("elsewhere", node_selector={"cloud.example/accelerator": "h200"})
    training.waits("didn't match Pod's node affinity/selector")
    assert training.status()["phase"] == "Running"


def test_a_node_with_a_taint_is_for_those_who_tolerate_it(start: Start, kube: Kube) -> None:
    # It is the only node: whatever else is started meanwhile waits, too.
    kube.run("taint", "nodes", NODE, f"{TAKEN}:NoSchedule", "--overwrite")
    try:
        tolerant = start("tolerant", tolerations=[{"key": TAKEN, "operator": "Exists"}])
        other = start("other")
        other.waits("had untolerated taint")
        until(lambda: tolerant.pod()["spec"].get("nodeName"), STARTING, "the one that tolerates it has the node")
    finally:
        kube.run("taint", "nodes", NODE, f"{TAKEN}:NoSchedule-")
    assert [tolerant.ended(), other.ended()] == ["Succeeded", "Succeeded"]


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


def test_a_training_whose_process_is_killed_ends_with_75_and_is_tried_again(start: Start) -> None:
    training = start("again", py=f"{KILLED_ONCE}{PY}")
    assert training.ended() == "Succeeded", training.attempts()
    first, second = training.attempts()
    assert "(exit code 75): slipway [clouds]: " in first["message"]
    assert (first["phase"], second["phase"]) == ("Failed", "Succeeded")


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
