"""What does argo-server give a person who may only look: a step's log, then and later, and the report?"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.asking import until
from tests.cluster.browser import picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.kube import Kube
    from tests.cluster.person import Person

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# By the means of report.html: styles of its own, and SVG.
PAGE = """<!doctype html><title>report</title><style>h1 { color: #17804a; background: #e5f3ea }</style>
<h1>Good to go</h1><svg width="300" height="100"><rect width="200" height="50" fill="#2a6ca3" /></svg>
"""
# Says something, and ends when it is told to.
PROGRAM = f"""
import os, pathlib, sys
report = pathlib.Path(sys.argv[1])
report.parent.mkdir(parents=True)
report.write_text({PAGE!r})
os.mkfifo("/scratch/go")
print("judging", flush=True)
open("/scratch/go").read()
print("judged", flush=True)
"""


@pytest.fixture(scope="module")
def workflow(kube: Kube) -> Iterator[str]:
    """A workflow with the installed step validate, but for its program; its pod says `judging` and waits."""
    name = f"report-{uuid.uuid4().hex[:8]}"
    spec = (kube.get("workflowtemplate", "slipway-push", "--namespace=slipway") or {})["spec"]
    validate = next(one for one in spec["templates"] if one["name"] == "validate")
    # In the pod's own scratch, so that nothing is left of it.
    report = {**validate["outputs"]["artifacts"][0], "path": "/scratch/candidate/report.html"}
    container = {**validate["container"], "command": ["python", "-c", PROGRAM, report["path"]], "args": []}
    step = {**validate, "container": container, "inputs": {}, "outputs": {"artifacts": [report]}}
    kept = {key: value for key, value in spec.items() if key not in ("onExit", "arguments")}
    manifest = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name, "namespace": "slipway"},
        "spec": {**kept, "entrypoint": "validate", "templates": [step]},
    }
    kube.run("create", "-f", "-", text=json.dumps(manifest))
    yield name
    kube.run("delete", "workflow", name, "--namespace=slipway", "--ignore-not-found", seconds=90)


@pytest.fixture(scope="module")
def running(kube: Kube, workflow: str) -> str:
    """The name of the workflow's pod, which runs."""

    def pod() -> str | None:
        found = kube.get("pods", f"--selector=workflows.argoproj.io/workflow={workflow}", "--namespace=slipway") or {}
        return next(
            (one["metadata"]["name"] for one in found.get("items", []) if one["status"]["phase"] == "Running"), None
        )

    return until(pod, 90, "the step runs")


@pytest.fixture(scope="module")
def archived(kube: Kube, workflow: str, running: str, said_while_it_ran: str) -> str:
    """The id of the step's node: it has ended, and its pod is gone."""
    assert said_while_it_ran  # asked before the step was let go
    go = ["python", "-c", "open('/scratch/go', 'w').close()"]
    kube.run("exec", running, "--namespace=slipway", "--container=main", "--", *go)

    def over() -> str | None:
        nodes = (kube.get("workflow", workflow, "--namespace=slipway") or {}).get("status", {}).get("nodes", {})
        return next((id for id, one in nodes.items() if one["type"] == "Pod" and one["phase"] == "Succeeded"), None)

    node = until(over, 120, "the step has succeeded")
    gone = lambda: True if kube.get("pod", running, "--namespace=slipway") is None else None  # noqa: E731
    until(gone, 60, "its pod is gone")
    return node


@pytest.fixture(scope="module")
def said_while_it_ran(person: Person, workflow: str, running: str) -> str:
    path = f"/api/v1/workflows/slipway/{workflow}/{running}/log?logOptions.container=main"

    def said() -> str | None:
        lines = [json.loads(line)["result"].get("content", "") for line in person.get(path)[1].splitlines() if line]
        # Argo's own process in the step's container speaks there too.
        return next((line for line in lines if "argo=true" not in line), None)

    return until(said, 60, "argo-server shows the log")


def test_a_log_is_shown_while_its_step_runs(said_while_it_ran: str) -> None:
    assert said_while_it_ran == "judging"


def test_a_log_is_shown_when_its_pod_is_gone(person: Person, workflow: str, archived: str) -> None:
    _, text = person.get(f"/artifact-files/slipway/workflows/{workflow}/{archived}/outputs/main-logs")
    assert text.splitlines() == ["judging", "judged"]


def test_the_report_is_served_as_a_page_that_can_do_nothing(person: Person, workflow: str, archived: str) -> None:
    headers, text = person.get(f"/artifact-files/slipway/workflows/{workflow}/{archived}/outputs/report")
    assert text == PAGE
    assert headers["content-type"].startswith("text/html")
    policy = [rule.strip() for rule in headers["content-security-policy"].split(";")]
    assert {"default-src 'none'", "sandbox allow-same-origin"} <= set(policy)


def test_the_report_looks_in_the_browser_as_the_file_does(
    person: Person, workflow: str, archived: str, tmp_path: Path
) -> None:
    from PIL import Image

    file = tmp_path / "report.html"
    file.write_text(PAGE)
    wanted = picture(file.as_uri(), tmp_path / "file.png", 400, 300)
    page = f"/artifact-files/slipway/workflows/{workflow}/{archived}/outputs/report"
    served = person.look(page, tmp_path / "served.png", 400, 300)
    with Image.open(wanted) as one, Image.open(served) as other:
        assert other.convert("RGB").tobytes() == one.convert("RGB").tobytes()
        colours = {colour for _, colour in other.convert("RGB").getcolors(1 << 16) or []}
    assert {(0xE5, 0xF3, 0xEA), (0x2A, 0x6C, 0xA3)} <= colours


def test_who_has_no_rights_is_shown_nothing(about: dict[str, Any], workflow: str, archived: str) -> None:
    url = f"{about['argo_server']}/artifact-files/slipway/workflows/{workflow}/{archived}/outputs/report"
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(url, timeout=30)
    assert refusal.value.code == 401
