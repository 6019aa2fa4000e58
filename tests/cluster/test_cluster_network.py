"""Whom pods reach while NetworkPolicies are enforced, asked from inside them.

Training's pods are those of the installed WorkflowTemplate, but for the program; the others carry the labels alone.
"""

from __future__ import annotations

import http.server
import json
import shutil
import threading
import uuid
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster import attempts, borrowed, forge, reaching, registry, services
from tests.cluster.asking import until
from tests.cluster.place import ADDRESS, APART, DATA
from tests.cluster.programs import pids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.kube import Kube
    from tests.cluster.place import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MODEL = "attempted"
REFUSED = "ECONNREFUSED"
PROGRAM = Path(reaching.__file__).read_text()
LISTENER = """
import http.server, threading
for port in (7777, 8000, 9999, 12000):
    server = http.server.HTTPServer(("", port), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever).start()
"""
ELSEWHERE = "default"  # a namespace that is not slipway's
SOURCE, SENSOR = ({"controller": f"{kind}-controller"} for kind in ("eventsource", "sensor"))
Met = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def addresses(kube: Kube, about: dict[str, Any]) -> Iterator[dict[str, str]]:
    """HOST:PORT by name, of what listens while the tests run; all but the name answer the node, which is let in."""
    name = f"listens-{uuid.uuid4().hex[:8]}"
    listeners = {
        "server": ("staging", {"app.kubernetes.io/name": "triton"}),
        "pod": ("slipway", {}),
        "source": ("slipway", SOURCE),
        "sensor": ("slipway", SENSOR),
    }
    archive = http.server.ThreadingHTTPServer((DATA, 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=archive.serve_forever, daemon=True).start()
    listen = ["python3", "-c", LISTENER]
    try:
        kube.apply(
            [_pod(f"{name}-{what}", where, about, labels, listen) for what, (where, labels) in listeners.items()]
        )
        found = {what: _address(kube, f"{name}-{what}", where) for what, (where, _) in listeners.items()}
        listening = {
            "the Kubernetes API": f"{ADDRESS}:6443",
            "the artifacts": services.S3,
            "the kubelet": f"{ADDRESS}:10250",
            "the forge": forge.URL.removeprefix("http://"),
            "Prometheus": services.PROMETHEUS.removeprefix("http://"),
            "the DNS": f"{APART}:53",
            "the registry": registry.URL,
            "the event bus": services.NATS,
            "the archive of data": f"{DATA}:{archive.server_port}",
            "a server": f"{found['server']}:8000",
            "another port of a server": f"{found['server']}:9999",
            "a pod of slipway's": f"{found['pod']}:8000",
            "an event source": f"{found['source']}:12000",
            "an event source's metrics": f"{found['source']}:7777",
            "another port of an event source": f"{found['source']}:8000",
            "a sensor's metrics": f"{found['sensor']}:7777",
            "another port of a sensor": f"{found['sensor']}:12000",
        }
        for what, address in listening.items():
            until(partial(_listens, address), 60, f"{what} listens")
        yield {**listening, "a name": "kubernetes.default.svc:443"}
    finally:
        archive.shutdown()
        archive.server_close()
        for what, (where, _) in listeners.items():
            kube.run("delete", "pod", f"{name}-{what}", f"--namespace={where}", "--ignore-not-found", "--wait=false")


def _listens(address: str) -> bool | None:
    return True if reaching.connect(address) == "connected" else None


@pytest.fixture(scope="module")
def met(place: Place, kube: Kube, about: dict[str, Any], addresses: dict[str, str]) -> Iterator[Met]:
    """How the last try of each pod ended, by pod and address."""
    assert pids("kube-router")
    mark = uuid.uuid4().hex[:8]
    claim = kube.get("pvc", "slipway-workspace", "--namespace=slipway") or {}
    workspace = place.path("volumes", claim["spec"]["volumeName"])
    command = ["python3", "-c", PROGRAM, json.dumps(addresses)]
    steps = {"training": "none", "training with declared data": "declared"}
    pods = {
        "a step": ("slipway", {"slipway/step": "bump"}),
        "a pod that no policy names": ("slipway", {}),
        "a server": ("staging", {"app.kubernetes.io/name": "triton"}),
        "an event source": ("slipway", SOURCE),
        "a sensor": ("slipway", SENSOR),
        "a pod of somebody else": (ELSEWHERE, {}),
    }
    # What the step before training makes.
    folders = [workspace / "datasets" / MODEL, *(workspace / f"reaches-{mark}-{kind}" for kind in steps.values())]
    try:
        for folder in folders:
            (folder / "source").mkdir(parents=True)
            (folder / MODEL).mkdir()
        for path in (workspace / "datasets", *folders, *(each for folder in folders for each in folder.iterdir())):
            path.chmod(0o777)
        kube.apply(
            [
                _pod(f"reaches-{mark}-{index}", where, about, labels, command)
                for index, (where, labels) in enumerate(pods.values())
            ]
        )
        for kind in steps.values():
            values = {"model": MODEL, "data": kind}
            borrowed.submit(kube, f"reaches-{mark}-{kind}", "slipway-push", ["train"], lambda _: command, values)
        said = {who: borrowed.said(kube, f"reaches-{mark}-{kind}", "train") for who, kind in steps.items()}
        said |= {
            who: _said(kube, f"reaches-{mark}-{index}", where) for index, (who, (where, _)) in enumerate(pods.items())
        }
        yield {who: attempts.read(text, who) for who, text in said.items()}
    finally:
        for kind in steps.values():
            kube.run("delete", "workflow", f"reaches-{mark}-{kind}", "--namespace=slipway", "--ignore-not-found")
        for index, (where, _) in enumerate(pods.values()):
            name = f"reaches-{mark}-{index}"
            kube.run("delete", "pod", name, f"--namespace={where}", "--ignore-not-found", "--wait=false")
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _pod(
    name: str, namespace: str, about: dict[str, Any], labels: dict[str, str], command: list[str]
) -> dict[str, Any]:
    restricted = {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "main", "image": about["images"]["base"], "command": command, "securityContext": restricted}
    spec = {
        "containers": [container],
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
    }
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _address(kube: Kube, name: str, namespace: str) -> str:
    def running() -> str | None:
        status = (kube.get("pod", name, f"--namespace={namespace}") or {}).get("status", {})
        return status.get("podIP") if status.get("phase") == "Running" else None

    return until(running, 60, f"{name} runs in {namespace}")


def _said(kube: Kube, name: str, namespace: str) -> str:
    def log() -> str | None:
        status = (kube.get("pod", name, f"--namespace={namespace}") or {}).get("status", {})
        ended = status.get("phase") in {"Succeeded", "Failed"}
        return kube.run("logs", name, f"--namespace={namespace}") if ended else None

    return until(log, 120, f"{name} of {namespace} has ended")


APARTS = ["the forge", "Prometheus", "the DNS", "the registry", "the event bus"]
EVERYWHERE = [
    *APARTS,
    "the Kubernetes API",
    "the artifacts",
    "the kubelet",
    "the archive of data",
    "a server",
    "another port of a server",
    "a pod of slipway's",
    "an event source",
    "a sensor's metrics",
]


@pytest.mark.parametrize("address", [*APARTS, "the kubelet", "the archive of data", "a server", "an event source"])
def test_training_does_not_reach(met: Met, address: str) -> None:
    assert met["training"][address] == REFUSED


@pytest.mark.parametrize("address", ["the Kubernetes API", "the artifacts"])
def test_training_reaches_what_argos_sidecar_needs(met: Met, address: str) -> None:
    assert met["training"][address] == "connected"


def test_training_resolves_no_name(met: Met) -> None:
    assert met["training"]["a name"] == "not resolved"


def test_training_with_declared_data_reaches_its_archive(met: Met) -> None:
    assert met["training with declared data"]["the archive of data"] == "connected"


@pytest.mark.parametrize("address", [*APARTS, "the kubelet", "a server"])
def test_training_with_declared_data_does_not_reach(met: Met, address: str) -> None:
    assert met["training with declared data"][address] == REFUSED


@pytest.mark.parametrize("address", ["the forge", "the artifacts", "Prometheus", "a server", "a name"])
def test_a_step_of_slipways_reaches(met: Met, address: str) -> None:
    assert met["a step"][address] == "connected"


@pytest.mark.parametrize("address", EVERYWHERE)
def test_a_pod_that_no_policy_names_does_not_reach(met: Met, address: str) -> None:
    assert met["a pod that no policy names"][address] == REFUSED


@pytest.mark.parametrize(
    "who", ["a pod of somebody else", "a server", "a step", "training", "an event source", "a sensor"]
)
def test_nobody_reaches_a_pod_of_slipways(met: Met, who: str) -> None:
    assert met[who]["a pod of slipway's"] == REFUSED


@pytest.mark.parametrize("address", ["an event source", "an event source's metrics", "a sensor's metrics"])
def test_webhooks_are_taken_and_metrics_given_to_everybody(met: Met, address: str) -> None:
    assert met["a pod of somebody else"][address] == "connected"


@pytest.mark.parametrize("who", ["a pod of somebody else", "a step"])
@pytest.mark.parametrize("address", ["another port of an event source", "another port of a sensor"])
def test_at_another_port_nobody_reaches_event_source_or_sensor(met: Met, address: str, who: str) -> None:
    assert met[who][address] == REFUSED


@pytest.mark.parametrize("who", ["an event source", "a sensor"])
def test_event_source_and_sensor_reach_the_bus(met: Met, who: str) -> None:
    assert met[who]["the event bus"] == "connected"


def test_the_sensor_reaches_the_kubernetes_api(met: Met) -> None:
    assert met["a sensor"]["the Kubernetes API"] == "connected"


@pytest.mark.parametrize("who", ["an event source", "a sensor"])
@pytest.mark.parametrize("address", ["the archive of data", "a server", "another port of a server"])
def test_event_source_and_sensor_do_not_reach(met: Met, address: str, who: str) -> None:
    assert met[who][address] == REFUSED


def test_a_server_is_reached_from_everywhere_at_the_ports_of_triton_alone(met: Met) -> None:
    somebody = met["a pod of somebody else"]
    assert (somebody["a server"], somebody["another port of a server"]) == ("connected", REFUSED)


def test_a_server_reaches_the_store_and_no_other_pod(met: Met) -> None:
    assert (met["a server"]["the artifacts"], met["a server"]["a server"]) == ("connected", REFUSED)
