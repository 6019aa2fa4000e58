"""Every folder that a bump creates is accepted by the real kustomize."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from env_world import World, version

from gitops.layout import kubernetes_name

MODULE = "sigs.k8s.io/kustomize/kustomize/v5@v5.8.1"
NAMES = ["digits", "with_underscore", "with-underscore", "0digit", "ends-", "a", "x" * 63]


@pytest.fixture(scope="session")
def kustomize() -> Path:
    """The real program, built from its Go module into a folder that later runs find again."""
    folder = (
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "slipway-tests" / MODULE.rpartition("@")[2]
    )
    program = folder / "kustomize"
    if not program.exists():
        if shutil.which("go") is None:
            pytest.skip("LEFT OUT: kustomize cannot be built, because Go is not on PATH; no folder was checked")
        built = subprocess.run(
            ["go", "install", MODULE], env={**os.environ, "GOBIN": str(folder)}, capture_output=True, timeout=280
        )
        if built.returncode:
            pytest.skip(f"LEFT OUT: Go could not build {MODULE}: {built.stderr.decode()[-200:]}; no folder was checked")
    return program


@pytest.fixture
def built(world: World, kustomize: Path):
    """built(model) is what kustomize makes of envs/staging/<model>, by kind."""

    def build(model: str) -> dict[str, dict]:
        world.bump(3, model)
        work = world.clone()
        out = subprocess.run([kustomize, "build", work / "envs/staging" / model], capture_output=True, timeout=60)
        assert out.returncode == 0, out.stderr.decode()
        return {item["kind"]: item for item in yaml.safe_load_all(out.stdout)}

    return build


@pytest.mark.timeout(400)
def test_every_folder_builds(built):
    for model in NAMES:
        assert set(built(model)) == {"ConfigMap", "Service", "Deployment"}, model


def test_a_new_release_is_a_new_pod(built, world: World, kustomize: Path):
    names = set()
    for number in (3, 4):
        world.bump(number)
        work = world.clone()
        out = subprocess.check_output([kustomize, "build", work / "envs/staging/digits"])
        deployment = next(item for item in yaml.safe_load_all(out) if item["kind"] == "Deployment")
        names.add(deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"])
    assert len(names) == 2


def test_the_probes_ask_for_the_released_version(built):
    containers = built("digits")["Deployment"]["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe"):
        assert containers[0][probe]["httpGet"]["path"] == "/v2/models/digits/versions/3/ready"


def test_every_container_is_confined(built):
    spec = built("digits")["Deployment"]["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    for container in [*spec["containers"], *spec["initContainers"]]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]


def test_the_names_of_different_models_differ():
    names = [kubernetes_name(model) for model in NAMES]
    assert len(set(names)) == len(names)
    assert all(len(f"triton-{name}") <= 63 and name[-1].isalnum() for name in names)
    assert version(1).name == kubernetes_name("digits")
