"""Do a model's servers become more while requests wait, and fewer afterwards, by the component and the real KEDA?"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from gitops.installation import Installation
from tests.cluster import team
from tests.cluster.asking import until
from tests.cluster.place import ADDRESS
from tests.cluster.serving import MODEL, Served, serve_from
from tests.cluster.traffic import Traffic
from tests.cluster.watching import watching
from triton_repo.runtime import model_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.forge import Forge
    from tests.cluster.kube import Kube
    from tests.cluster.place import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PROMETHEUS = f"http://{ADDRESS}:9096"
# A run takes as long as that of a large network does, without the two processors that all of the cluster runs on.
SLOW = (
    model_files("python")["model.py"]
    + b"""
import time


class TritonPythonModel(TritonPythonModel):
    def _run(self, feed):
        time.sleep(0.2)
        return super()._run(feed)
"""
)
# docs/install.md's lines, with one server less for the machine's sake; an autoscaler waits five minutes with stopping
# servers unless its behavior says otherwise.
LINES = """\
components: [../../base/autoscaling]
patches:
  - target: {kind: ScaledObject}
    patch: |-
      - {op: replace, path: /spec/maxReplicaCount, value: 3}
      - op: add
        path: /spec/advanced
        value: {horizontalPodAutoscalerConfig: {behavior: {scaleDown: {stabilizationWindowSeconds: 10}}}}
"""


@pytest.fixture(scope="module")
def scaled(
    kube: Kube, about: dict[str, Any], place: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A served model whose folder asks for autoscaling."""
    name = f"serving-{uuid.uuid4().hex[:8]}"
    installed = yaml.safe_load(place.path("install/values.yaml").read_text())["images"]
    images = {target: installed[target] for target in ("light", "triton")}
    installation = Installation(**images, store=f"s3://models/{name}", prometheus=PROMETHEUS)
    try:
        served = serve_from(kube, about, name, tmp_path_factory.mktemp("envs"), installation)
        served.release(served.publish(SLOW))
        served.wait(300)
        with watching(place, name, tmp_path_factory.mktemp("prometheus"), PROMETHEUS):
            served.add_lines(LINES)
            yield served
    finally:
        kube.run("delete", "namespace", name, "--ignore-not-found", "--wait=true", seconds=180)
        shutil.rmtree(place.path("s3/models", name), ignore_errors=True)


def test_two_replicas_become_three_while_requests_wait_and_two_again_without_a_request_lost(scaled: Served) -> None:
    begun, history = time.monotonic(), []

    def ready(wanted: int) -> bool | None:
        deployment = scaled.kube.get(scaled.deployment, "-n", scaled.namespace) or {}
        seen = (deployment["spec"]["replicas"], deployment["status"].get("readyReplicas", 0))
        if not history or history[-1][1:] != seen:
            history.append((round(time.monotonic() - begun), *seen))
        return seen == (wanted, wanted) or None

    def reach(wanted: int, seconds: float) -> None:
        until(lambda: ready(wanted), seconds, f"{wanted} replicas are asked for and READY", every=1)

    reach(2, 180)
    with ExitStack() as load:
        clients = [load.enter_context(Traffic(scaled.address(), MODEL)) for _ in range(6)]
        reach(3, 300)
        beyond = [client.count(1) for client in clients]
        until(lambda: all(c.count(1) > b + 10 for c, b in zip(clients, beyond, strict=True)) or None, 60, "they go on")
    reach(2, 400)
    print(f"(seconds, replicas asked for, READY): {history}")
    assert [failure for client in clients for seen in client.seen.values() for failure in seen.failures] == []


def test_doctor_sees_that_keda_is_there_for_a_folder_that_asks_for_autoscaling(
    scaled: Served, place: Place, ada: Forge, repository: str, tmp_path: Path
) -> None:
    ada.call("PUT", f"/repos/{repository}/collaborators/{team.READER}", {"permission": "read"})
    url = team.url(repository)
    as_ada = url.replace("://", f"://{ada.user}:{ada.password}@")
    subprocess.run(["git", "-C", scaled.envs, "push", "--quiet", "--force", as_ada, "main"], check=True, timeout=60)
    values = yaml.safe_load(place.path("install/values.yaml").read_text())
    (tmp_path / "values.yaml").write_text(yaml.safe_dump({**values, "env_repo": url}))
    command = [str(Path(sys.prefix, "bin/slipway")), "doctor", "--values", str(tmp_path / "values.yaml"), "--json"]
    environment = {**os.environ, "KUBECONFIG": str(place.kubeconfig)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=250)
    assert done.stderr == ""
    [finding] = [each for each in json.loads(done.stdout) if each["subject"] == "KEDA"]
    assert (finding["state"], finding["message"]) == ("ok", f"is there for envs/{scaled.namespace}/{MODEL}")
