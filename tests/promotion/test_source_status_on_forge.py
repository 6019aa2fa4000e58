"""What a pushed commit's page says on a real Gitea while its workflow runs, and when it has ended."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from uuid import uuid4

import pytest

from gitops.forge import CommitStatus
from gitops.forge.open import open_forge
from hera_workflows.source_status import begin, hear, was_planned

pytestmark = pytest.mark.slow
RUN = "push-1"
PAGE = f"https://argo.example/workflows/slipway/{RUN}"
REFUSED = {
    "displayName": "validate(0)",
    "message": "main: Error (exit code 65): slipway [digits]: digits is refused: accuracy 0.91 < 0.95",
}


@pytest.fixture
def project(gitea):
    """(the forge's adapter, a commit, report(status, *failures, page=PAGE) -> what the commit says after the step)."""
    running, _ = gitea
    name = running.project(f"models-{uuid4().hex[:12]}")
    token = running.tokens["slipway-bot"]
    forge = open_forge("gitea", running.url, name, token)
    commit = running.call("GET", f"/repos/{name}/branches/main")["commit"]["id"]

    def report(status: str, *failures: dict[str, str], page: str = PAGE) -> dict[str, CommitStatus]:
        flags = {
            "status": status,
            "workflow": RUN,
            "failures": json.dumps(json.dumps(failures)),
            "commit": commit,
            "forge": "gitea",
            "forge-url": running.url,
            "source-project": name,
            "env-project": name,
            "argo-url": page.removesuffix(f"/{RUN}"),
        }
        command = [sys.executable, "-m", "hera_workflows.steps.report_outcome"]
        words = [word for flag, value in flags.items() for word in (f"--{flag}", value)]
        environment = {"PATH": "/usr/bin:/bin", "FORGE_TOKEN": token}
        subprocess.run([*command, *words], env=environment, check=True, capture_output=True, timeout=120)
        return dict(forge.statuses(commit))

    return forge, commit, report


def test_training_is_pending_and_links_to_the_workflow(project):
    forge, commit, _ = project
    begin(forge, commit, ["digits"], PAGE)
    assert forge.statuses(commit) == {"slipway/digits": CommitStatus("pending", "training", PAGE)}


def test_a_refused_model_fails_on_its_commit_and_says_why(project: tuple[object, str, Callable[..., object]]):
    forge, commit, report = project
    begin(forge, commit, ["digits"], PAGE)
    said = CommitStatus("failure", "digits is refused: accuracy 0.91 < 0.95", PAGE)
    assert report("Failed", REFUSED) == {"slipway/digits": said}


def test_what_the_promoter_said_meanwhile_stays(project):
    forge, commit, report = project
    begin(forge, commit, ["digits", "line"], PAGE)
    forge.status(commit, "slipway/line", "success", "served in staging", PAGE)
    assert report("Failed", REFUSED)["slipway/line"].description == "served in staging"


def test_a_push_that_was_refused_as_a_whole_says_so(project):
    _, _, report = project
    message = "main: Error (exit code 65): slipway: models/A is not a model name"
    [(context, said)] = report("Failed", {"displayName": "plan(0)", "message": message}).items()
    assert (context, said.state) == ("slipway", "failure")
    assert said.description.endswith("models/A is not a model name")


def test_a_push_of_which_nothing_could_be_said_before_is_heard_of_when_its_workflow_has_succeeded(project):
    _, _, report = project
    assert report("Succeeded") == {"slipway": CommitStatus("success", "heard of; its workflow succeeded", PAGE)}


def test_a_push_whose_plan_broke_is_heard_of_when_its_workflow_was_tried_again_and_succeeded(project):
    _, _, report = project
    message = "main: Error (exit code 75): slipway: https://forge.example/models.git does not answer"
    assert report("Failed", {"displayName": "plan(0)", "message": message})["slipway"].state == "error"
    assert report("Succeeded") == {"slipway": CommitStatus("success", "heard of; its workflow succeeded", PAGE)}


def test_what_is_said_of_an_error_is_what_the_last_try_said(project):
    forge, commit, report = project
    begin(forge, commit, ["digits"], PAGE)
    message = "main: Error (exit code 75): slipway [digits]: the store does not answer"
    assert report("Failed", {"displayName": "validate(0)", "message": message})["slipway/digits"].state == "error"
    said = CommitStatus("failure", "digits is refused: accuracy 0.91 < 0.95", PAGE)
    assert report("Failed", REFUSED) == {"slipway/digits": said}


def test_a_model_that_could_not_be_retired_is_said_of_the_push_until_it_could(project):
    forge, commit, report = project
    begin(forge, commit, ["digits"], PAGE)
    hear(forge, commit, ["digits"], ["line"], PAGE)
    message = "main: Error (exit code 75): slipway [line]: the environment repository does not answer"
    tries = [
        {"displayName": "retire(1)", "templateName": "retire", "message": text}
        for text in ("No more retries left", "OOMKilled (exit code 137)", message)
    ]
    found = report("Failed", *tries)
    assert (found["slipway"].state, found["slipway"].url) == ("error", PAGE)
    assert "line: the environment repository does not answer" in found["slipway"].description
    assert report("Succeeded")["slipway"].state == "success"


def test_a_retire_that_was_killed_before_it_could_name_its_model_is_said_of_the_push_and_of_no_other_model(project):
    forge, commit, report = project
    begin(forge, commit, ["digits"], PAGE)
    hear(forge, commit, ["digits"], ["line"], PAGE)
    killed = {"displayName": "retire(1)", "templateName": "retire", "message": "OOMKilled (exit code 137)"}
    found = report("Failed", killed)
    assert (found["slipway"].state, was_planned(found)) == ("error", False)
    assert found["slipway/digits"].description == "the workflow ended before it was released"


def test_a_refused_model_that_could_not_be_named_before_is_refused_on_its_own(project):
    forge, commit, report = project
    hear(forge, commit, ["digits", "line"], [], PAGE)
    begin(forge, commit, ["line"], PAGE)
    found = report("Failed", REFUSED)
    assert (found["slipway"].state, found["slipway/digits"].state) == ("success", "failure")


def test_where_there_is_no_page_an_error_that_somebody_else_said_stays(project):
    forge, commit, report = project
    forge.status(commit, "slipway/line", "error", "said by hand", "")
    assert report("Succeeded", page="")["slipway/line"].description == "said by hand"


def test_what_was_said_of_a_push_before_stays(project):
    forge, commit, report = project
    hear(forge, commit, ["digits"], [], PAGE)
    assert report("Succeeded") == {"slipway": CommitStatus("success", "trains digits", PAGE)}
