"""The installation page says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from installed import objects

from hera_workflows.templates.render import FOLDERS
from hera_workflows.templates.values import Secrets, Values, read_values

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "install.md").read_text()


@pytest.fixture
def example(tmp_path: Path) -> Values:
    """The values file that the page shows."""
    path = tmp_path / "values.yaml"
    path.write_text(re.findall(r"```yaml\n(# values\.yaml\n.*?)```", PAGE, re.DOTALL)[0])
    return read_values(path)


def test_the_values_file_that_is_shown_can_be_rendered(example: Values) -> None:
    example.images.need_digests()
    assert objects(example, "Sensor")


def test_the_webhook_goes_to_the_host_that_is_shown(example: Values) -> None:
    (ingress,) = objects(example, "Ingress")
    rule = ingress["spec"]["rules"][0]
    assert f"`https://{rule['host']}{rule['http']['paths'][0]['path']}`" in PAGE


@pytest.mark.parametrize("name", Secrets().model_dump().values())
def test_every_secret_is_told(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("name", FOLDERS)
def test_every_folder_is_told(name: str) -> None:
    assert f"| `{name}/` |" in PAGE


def test_the_namespaces_that_are_made_are_those_of_the_values_that_are_shown(example: Values) -> None:
    made = re.findall(r"for name in ([a-z ]+); do kubectl create namespace", PAGE)[0].split()
    assert made == [example.namespace, *example.environments]


def test_the_claim_that_is_shown_is_the_one_that_is_mounted(example: Values) -> None:
    shown = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(apiVersion.*?)```", PAGE, re.DOTALL)]
    assert [claim["metadata"]["name"] for claim in shown] == [example.workspace_claim]


def test_the_same_uv_sets_up_builds_images_and_is_locked() -> None:
    """Another one would download everything once more, and lay it beside the first."""
    said = {
        path: set(re.findall(pattern, (ROOT / path).read_text()))
        for path, pattern in {
            "scripts/uv": r"\nversion=(.*)",
            "deploy/images/Containerfile": r"astral-sh/uv:(\S+)",
            "docs/install.md": r"astral-sh/uv:([0-9.]+)",
            "uv.lock": r'name = "uv"\nversion = "(.*)"',
        }.items()
    }
    assert all(said.values()), said
    assert len(set.union(*said.values())) == 1, said
