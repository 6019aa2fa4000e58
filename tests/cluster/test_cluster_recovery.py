"""Does the cluster come back with the same pods after any part of it was killed?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cluster import network
from tests.cluster.asking import until
from tests.cluster.down import power_off
from tests.cluster.place import NODE
from tests.cluster.programs import pids

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

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


def test_up_brings_back_everything_after_all_programs_were_killed_at_once(kube: Kube) -> None:
    _kill(PROGRAMS)

    _up()

    assert _node_is_ready(kube)


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
    # What the API server remembers from before says nothing: the containers are others, and there are as many.
    until(lambda: len(_containers(kube) - before) >= len(before) or None, 240, "every container runs again")


def test_up_on_a_cluster_that_is_up_starts_nothing(kube: Kube) -> None:
    before = {name: pids(name) for name in PROGRAMS}

    _up()

    assert {name: pids(name) for name in PROGRAMS} == before
