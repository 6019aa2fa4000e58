"""Does the cluster come back with the same pods after any part of it was killed?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cluster import kernel, network
from tests.cluster.asking import until
from tests.cluster.down import power_off, remove
from tests.cluster.journey import note
from tests.cluster.place import NODE, RUN
from tests.cluster.programs import pids

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from tests.cluster.journey import Journey
    from tests.cluster.kube import Kube
    from tests.cluster.place import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PROGRAMS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
    "kube-router",
    "coredns",
    "registry",
    "versitygw",
    "nats",
    "prometheus",
    "gitea",
)


def _up() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.cluster", "up"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _kill(names: Iterable[str]) -> None:
    for name in names:
        found = pids(name)
        assert found, f"{name} was not running"
        for pid in found:
            os.kill(pid, signal.SIGKILL)


def _containers(kube: Kube) -> set[str]:
    """Those that run, but for the pods of workflows, which come and go."""
    pods: dict[str, Any] = kube.get("pods", "--all-namespaces", "--selector=!workflows.argoproj.io/workflow") or {}
    found = [status for pod in pods["items"] for status in pod["status"].get("containerStatuses", [])]
    return {status["containerID"] for status in found if "running" in status["state"]}


def _demanded(kube: Kube) -> int:
    """How many containers Deployments and StatefulSets ask for."""
    found = (kube.get("deployments,statefulsets", "--all-namespaces") or {})["items"]
    return sum(one["spec"]["replicas"] * len(one["spec"]["template"]["spec"]["containers"]) for one in found)


def _node_is_ready(kube: Kube) -> bool:
    node = kube.get("node", NODE)
    assert node
    return any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"])


@pytest.mark.parametrize("program", PROGRAMS)
def test_up_brings_back_a_program_that_was_killed_and_no_pod_notices(kube: Kube, program: str) -> None:
    before = _containers(kube)
    _kill([program])

    _up()

    assert pids(program)
    assert _node_is_ready(kube)
    assert _containers(kube) == before


def test_up_brings_back_everything_after_all_programs_were_killed_at_once(kube: Kube, journey: Journey) -> None:
    _kill(PROGRAMS)

    _up()

    assert _node_is_ready(kube)
    journey.pushed("Look whether anybody listens", note("all programs were killed"))


@pytest.mark.last  # this process's other threads stay in a network that is gone
def test_up_brings_everything_back_after_a_reboot(place: Place, kube: Kube) -> None:
    before = _containers(kube)
    power_off(place.folder)

    try:
        _up()
    finally:
        if network.exists():
            network.enter()  # the one that this process was in is gone

    assert all(pids(name) for name in PROGRAMS)
    assert _node_is_ready(kube)
    # What the API server remembers from before says nothing: the containers are others, and none is missing.
    until(lambda: len(_containers(kube) - before) >= _demanded(kube) or None, 240, "every container runs again")


@pytest.mark.last
def test_a_push_is_heard_after_a_reboot(journey: Journey) -> None:
    journey.pushed("Look whether anybody listens", note("the machine was rebooted"))


@pytest.mark.last
def test_down_leaves_nothing_behind(place: Place, request: pytest.FixtureRequest) -> None:
    if request.session.testsfailed:
        pytest.skip("the cluster stays, for whoever looks at what failed")
    settings = kernel.recorded(place.folder)
    assert settings.keys() == kernel.KUBELETS.keys()
    remove(place.folder, print)

    def says(*command: str) -> str:
        host = ["nsenter", f"--net=/proc/{os.getppid()}/ns/net", "--", *command]
        return subprocess.run(host, capture_output=True, text=True, check=True).stdout

    assert not any(path.exists() for path in (place.folder, RUN, Path("/var/lib/kubelet")))
    mounts = Path("/proc/self/mountinfo").read_text()
    assert not any(part in mounts for part in (str(place.folder), str(RUN), "kubepods", "cni-"))
    assert [*Path("/run/netns").glob("cni-*"), *Path("/run/netns").glob("slipway-*")] == []
    assert not {"pods0", "node0", "node1"} & {one["ifname"] for one in json.loads(says("ip", "-json", "link"))}
    assert "KUBE-" not in says("iptables-save")
    assert list(_of_the_cluster()) == []
    assert {name: Path("/proc/sys", name).read_text().strip() for name in settings} == settings


def _of_the_cluster() -> Iterator[str]:
    """Processes that were begun by it, by what they inherited or where they run."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with suppress(OSError):  # it ended meanwhile
                begun = b"SLIPWAY_CLUSTER_PROGRAM=" in (folder / "environ").read_bytes()
                if begun or "kubepods" in (folder / "cgroup").read_text():
                    yield (folder / "cmdline").read_text()


def test_up_on_a_cluster_that_is_up_starts_nothing(kube: Kube) -> None:
    before = {name: pids(name) for name in PROGRAMS}

    _up()

    assert {name: pids(name) for name in PROGRAMS} == before
