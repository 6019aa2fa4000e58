"""Can the commands of docs/install.md be typed as they stand, and again where everything is there?

What they create the cluster has under the same names, so the API server refuses that and nothing else.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cluster import team
from tests.cluster.secrets import remembered

if TYPE_CHECKING:
    from tests.cluster.kube import Kube
    from tests.cluster.place import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = Path(__file__).parents[2] / "docs/install.md"
SECRETS, ENVIRONMENTS, INSTALL, WEBHOOKS = "4. Secrets", "5. The environment repository", "6. Install", "7. Webhooks"


@dataclass(frozen=True, slots=True)
class Typed:
    """What a section's commands printed, and which of them failed."""

    printed: str
    complaints: list[str]
    failed: list[str]


@pytest.fixture(scope="module")
def operator(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the values file and the secrets that the cluster has."""
    folder = tmp_path_factory.mktemp("operator")
    (folder / "values.yaml").write_bytes(place.path("install/values.yaml").read_bytes())
    (folder / "webhook.secret").write_text(remembered(place, "webhook"))
    return folder


@pytest.fixture(scope="module")
def typed(place: Place, operator: Path) -> dict[str, Typed]:
    """Every shell block of the sections, in order, by section."""
    path = [Path(sys.prefix, "bin"), place.program("kubernetes", "kubectl").parent]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([*map(str, path), os.environ["PATH"]]),
        "KUBECONFIG": str(place.kubeconfig),
    }
    found = {}
    for section in (SECRETS, ENVIRONMENTS, INSTALL, WEBHOOKS):
        script = "trap 'echo \"failed: $BASH_COMMAND\" >&2' ERR\n" + _as_here(place, _blocks(section))
        done = subprocess.run(
            ["bash", "-c", script],  # what people type is a shell's; it is this repository's own page
            cwd=operator,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        lines = done.stderr.splitlines()
        failed = [line for line in lines if line.startswith("failed: ")]
        found[section] = Typed(done.stdout, [line for line in lines if line not in failed], failed)
    return found


def _blocks(section: str) -> str:
    text = PAGE.read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    return "".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


def _as_here(place: Place, commands: str) -> str:
    """For this forge, whose webhook needs no Ingress; the other `…` are in files of Secrets that are there."""
    here = {
        "https://slipway-writer:…@github.com": team.credentials(place, team.WRITER).strip(),
        "https://github.com/acme/environments.git": team.url(team.ENVIRONMENTS),
        "webhook.github.secret": "webhook.gogs.secret",
        "kubectl -n slipway create secret tls events-tls --cert=events.crt --key=events.key\n": "",
    }
    for shown, really in here.items():
        commands = commands.replace(shown, really)
    return commands


def test_everything_that_the_page_creates_is_there_under_that_name(typed: dict[str, Typed]) -> None:
    there = typed[SECRETS]
    assert len(there.failed) == 17, there.complaints
    assert all("already exists" in line for line in there.complaints), there.complaints


def test_nothing_else_of_the_page_fails(typed: dict[str, Typed]) -> None:
    failed = [line for section in (ENVIRONMENTS, INSTALL, WEBHOOKS) for line in typed[section].failed]
    assert [line for line in failed if "create secret generic slipway-environments" not in line] == []


def test_the_environments_are_left_as_they_were(typed: dict[str, Typed]) -> None:
    assert typed[ENVIRONMENTS].printed.startswith(f"{team.url(team.ENVIRONMENTS)}: everything is there already\n")


def test_what_is_installed_does_not_differ_from_what_was_applied(typed: dict[str, Typed]) -> None:
    _, after = typed[INSTALL].printed.split("cronworkflow.argoproj.io/slipway-promote serverside-applied\n")
    assert after.startswith("NAME"), after


def test_argo_cd_has_the_webhooks_secret(typed: dict[str, Typed], kube: Kube) -> None:
    assert "patched" in typed[WEBHOOKS].printed
    assert "webhook.gogs.secret" in (kube.get("secret", "argocd-secret", "--namespace=argocd") or {})["data"]
