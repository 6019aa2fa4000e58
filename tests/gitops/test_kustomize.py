"""Every folder that a bump creates is accepted by the real kustomize."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from env_world import World, version

from gitops.installation import AUTOSCALING, INSTALLATION, Installation, render_installation
from gitops.layout import kubernetes_name
from gitops.seed import default_folder
from hera_workflows.cli import slipway
from slipway.errors import Misconfigured
from tests.cluster.build import cache_folder

pytestmark = pytest.mark.timeout(600)  # whichever test is the first may have to build the program
MODULE = "sigs.k8s.io/kustomize/kustomize/v5@v5.8.1"
INSTALL = Path(__file__).parents[2] / "docs/install.md"
NAMES = ["digits", "with_underscore", "with-underscore", "0digit", "ends-", "a", "x" * 63]


@pytest.fixture(scope="session")
def kustomize() -> Path:
    """The real program: the one that the test cluster built, or one from its Go module, which later runs find again."""
    for built in cache_folder().glob(f"kustomize-{MODULE.rpartition('@')[2]}-*/bin/kustomize"):
        return built
    folder = (
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "slipway-tests" / MODULE.rpartition("@")[2]
    )
    program = folder / "kustomize"
    if not program.exists():
        if shutil.which("go") is None:
            pytest.skip("LEFT OUT: kustomize cannot be built, because Go is not on PATH; no folder was checked")
        built = subprocess.run(
            ["go", "install", MODULE], env={**os.environ, "GOBIN": str(folder)}, capture_output=True, timeout=540
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


def test_every_folder_builds(built):
    for model in NAMES:
        assert set(built(model)) == {"ConfigMap", "Service", "Deployment", "PodDisruptionBudget"}, model


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


def test_the_selectors_of_a_folder_choose_its_own_pods_and_no_others(built):
    model = built("digits")
    template = model["Deployment"]["spec"]["template"]
    labels, spread = template["metadata"]["labels"], template["spec"]["topologySpreadConstraints"]
    chosen = [
        model["Service"]["spec"]["selector"],
        model["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        *(constraint["labelSelector"]["matchLabels"] for constraint in spread),
    ]
    assert all(selector == labels for selector in chosen)
    assert labels["app.kubernetes.io/instance"] == "digits"


def test_nothing_in_git_fights_an_autoscaler(built):
    assert "replicas" not in built("digits")["Deployment"]["spec"]


@pytest.mark.parametrize("model", ["digits", "with_underscore"])
def test_a_folder_that_wants_autoscaling_names_a_component_and_its_own_model_is_asked_for(
    world: World, kustomize: Path, model: str
):
    world.bump(3, model)
    people = f"envs/staging/{model}/kustomization.yaml"
    world.edit_by_hand({people: world.show(people) + "components: [../../base/autoscaling]\n"})
    out = subprocess.check_output([kustomize, "build", world.clone() / "envs/staging" / model])
    items = {item["kind"]: item for item in yaml.safe_load_all(out)}
    scaled = items["ScaledObject"]
    assert scaled["spec"]["scaleTargetRef"]["name"] == items["Deployment"]["metadata"]["name"]
    assert f'{{environment="staging",model="{model}"}}' in scaled["spec"]["triggers"][0]["metadata"]["query"]


def test_the_lines_for_more_replicas_in_the_install_guide_build(world: World, kustomize: Path):
    world.bump(3)
    people = "envs/staging/digits/kustomization.yaml"
    before = world.show(people)
    fixed, scaled = re.findall(r"```yaml\n(.*?)```", INSTALL.read_text().partition("## 10.")[2], re.DOTALL)

    def items(more: str) -> dict[str, dict]:
        world.edit_by_hand({people: before + more})
        out = subprocess.check_output([kustomize, "build", world.clone() / "envs/staging/digits"])
        return {item["kind"]: item for item in yaml.safe_load_all(out)}

    assert items(fixed)["Deployment"]["spec"]["replicas"] == 3
    found = items(scaled)
    assert "replicas" not in found["Deployment"]["spec"]
    assert found["ScaledObject"]["spec"]["maxReplicaCount"] == 8


def test_the_base_that_comes_with_slipway_is_that_of_the_default_values():
    files = {path: content for path, content in seeded().items() if path.startswith((AUTOSCALING, INSTALLATION))}
    assert files == render_installation(Installation())


def test_the_values_file_decides_images_and_store_and_people_keep_their_files(
    world: World, kustomize: Path, tmp_path: Path
):
    world.bump(3)
    light, triton_of_ours = f"registry.example.com:5000/slipway/light@{digest('5')}", f"triton@{digest('6')}"
    settings = {"store": "s3://models/of-ours", "secrets": {"store_read": "bucket"}}
    values = write_values(tmp_path, light=light, triton=triton_of_ours, **settings)
    before = {path: world.show(path) for path in world.paths() if not path.startswith((AUTOSCALING, INSTALLATION))}
    initialize(world, values)
    assert {path: world.show(path) for path in before} == before

    work = world.clone()
    out = subprocess.check_output([kustomize, "build", work / "envs/staging/digits"])
    pod = next(i for i in yaml.safe_load_all(out) if i["kind"] == "Deployment")["spec"]["template"]["spec"]
    fetch, triton = pod["initContainers"][0], pod["containers"][0]
    assert (fetch["image"], triton["image"]) == (light, triton_of_ours)
    assert {"name": "MODEL_STORE", "value": "s3://models/of-ours"} in fetch["env"]
    assert {"secretRef": {"name": "bucket"}} in fetch["envFrom"]
    assert "store" not in {volume["name"] for volume in pod["volumes"]}


def test_the_images_of_an_earlier_values_file_come_back_when_it_does(world: World, tmp_path: Path):
    seen = []
    for digit in ("1", "2", "1"):
        initialize(world, write_values(tmp_path, triton=f"triton@{digest(digit)}"))
        seen.append(yaml.safe_load(world.show(f"{INSTALLATION}/kustomization.yaml"))["images"][1]["digest"])
    assert seen == [digest("1"), digest("2"), digest("1")]


def test_the_same_values_file_again_changes_nothing(world: World, tmp_path: Path):
    values = write_values(tmp_path, store="s3://models")
    initialize(world, values)
    before = world.main()
    initialize(world, values)
    assert world.main() == before


def test_a_store_that_servers_cannot_read_is_refused():
    with pytest.raises(Misconfigured, match="give /store or s3://bucket/prefix"):
        render_installation(Installation(store="gs://models"))


def digest(digit: str) -> str:
    return f"sha256:{digit * 64}"


def write_values(folder: Path, light: str = "", triton: str = "", **settings: Any) -> Path:
    """A values file whose images have digests."""
    images = dict.fromkeys(("light", "train", "evaluate", "triton"), f"slipway/any@{digest('0')}")
    images |= {name: image for name, image in (("light", light), ("triton", triton)) if image}
    (path := folder / "values.yaml").write_text(yaml.safe_dump({"images": images, **settings}))
    return path


def initialize(world: World, values: Path) -> None:
    done = CliRunner().invoke(slipway, ["env", "init", world.url, "--values", str(values)], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def seeded() -> dict[str, bytes]:
    folder = default_folder()
    return {f"envs/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_names_of_different_models_differ():
    names = [kubernetes_name(model) for model in NAMES]
    assert len(set(names)) == len(names)
    assert all(len(f"triton-{name}") <= 63 and name[-1].isalnum() for name in names)
    assert version(1).name == kubernetes_name("digits")
