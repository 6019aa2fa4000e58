"""What is refused to each step's pod, asked from inside the pod: its account, volumes and Secrets, another program.

The pods are those of the installed WorkflowTemplates, but for the command, and for retries and outputs.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster import attempts, borrowed, buckets, team
from tests.cluster.forge import administrator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.kube import Kube
    from tests.cluster.place import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MODEL = "attempted"
# In this order: plan makes the folders of the run, gc removes them.
STEPS = {
    "slipway-push": ["plan", "start", "train", "validate", "publish", "bump", "retire", "report-outcome"],
    "slipway-promote": ["promote"],
    "slipway-gc": ["gc"],
    "slipway-catch-up": ["catch-up"],
}
EVERY = [step for steps in STEPS.values() for step in steps]
STORE_READERS = {"start", "validate", "bump", "promote"}
STORE_WRITERS = {"publish", "gc"}
GIT_READERS = {"plan", "start", "validate", "gc", "catch-up", "report-outcome"}
GIT_WRITERS = {"bump", "retire", "promote"}
FORGE = {"plan", "report-outcome", "promote", "catch-up"}
Seen = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def seen(place: Place, kube: Kube, about: dict[str, Any]) -> Iterator[Seen]:
    """What each attempt met, by step; a pod that did not say it is an error of every test."""
    store = buckets.administrator(place)
    for key in (f"attempts/{step}" for step in EVERY):
        store.put_object(Bucket=buckets.MODELS, Key=key, Body=b"there before")
    name = f"rights-{uuid.uuid4().hex[:8]}"
    given = {"run": name, "model": MODEL, "forge": team.URL, "s3": about["s3"]["endpoint"], "bucket": buckets.MODELS}
    program = Path(attempts.__file__).read_text()

    def command(step: str) -> list[str]:
        asked = {**given, "step": step, "prepare": step == "plan", "tidy": step == "gc"}
        return ["python", "-c", program, json.dumps(asked)]

    found: Seen = {}
    for template, steps in STEPS.items():
        borrowed.submit(kube, name, template, steps, command, {"model": MODEL})
        for step in steps:
            found[step] = attempts.read(borrowed.said(kube, name, step), f"the pod of {step}")
        kube.run("delete", "workflow", name, "--namespace=slipway", "--wait=true", seconds=90)
    yield found
    for key in (f"attempts/{step}{kind}" for step in EVERY for kind in ("", "-new")):
        store.delete_object(Bucket=buckets.MODELS, Key=key)
    # Who may push has pushed.
    for step in EVERY:
        where = f"/repos/{team.ENVIRONMENTS}/branches/attempt-{step}"
        administrator(place).call("DELETE", where, accept=(404,))


def others(*but: set[str]) -> list[str]:
    return [step for step in EVERY if step not in set().union(*but)]


@pytest.mark.parametrize("step", EVERY)
def test_a_step_is_an_ordinary_user_without_capabilities(seen: Seen, step: str) -> None:
    none = "0" * 16
    assert (seen[step]["user"], seen[step]["capabilities"]) == ("1000", f"{none} {none} {none}")


@pytest.mark.parametrize("step", EVERY)
def test_a_step_cannot_become_root(seen: Seen, step: str) -> None:
    assert (seen[step]["become root"], seen[step]["no new privileges, seccomp"]) == ("EPERM", "1 2")


@pytest.mark.parametrize("step", EVERY)
@pytest.mark.parametrize("attempt", ["write the root", "write slipway's code"])
def test_a_step_cannot_change_its_image(seen: Seen, attempt: str, step: str) -> None:
    assert seen[step][attempt] == "EROFS"


@pytest.mark.parametrize("step", others({"promote"}))
def test_a_step_that_asks_kubernetes_nothing_has_no_token(seen: Seen, step: str) -> None:
    assert (seen[step]["read a token"], seen[step]["list applications"]) == ("ENOENT", "HTTP 403")


def test_promote_may_ask_what_is_live(seen: Seen) -> None:
    assert seen["promote"]["list applications"] == "HTTP 200"


@pytest.mark.parametrize("step", EVERY)
@pytest.mark.parametrize(
    "attempt",
    [
        "list secrets",
        "get the signing key",
        "create a workflow",
        "create a result",
        "patch an application",
        "patch a deployment",
    ],
)
def test_the_kubernetes_api_refuses_a_step(seen: Seen, attempt: str, step: str) -> None:
    assert seen[step][attempt] == "HTTP 403"


@pytest.mark.parametrize("step", EVERY)
def test_a_step_has_no_secret_but_its_own(seen: Seen, step: str) -> None:
    mounted = {
        "/git": step in GIT_READERS | GIT_WRITERS,
        "/keys": step == "publish",
        "/run/secrets/kubernetes.io/serviceaccount": step == "promote",
    }
    bucket = ["AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_SECRET_ACCESS_KEY"]
    names = (bucket if step in STORE_READERS | STORE_WRITERS else []) + (["FORGE_TOKEN"] if step in FORGE else [])
    names += ["WEBHOOK_SECRET"] if step == "catch-up" else []
    assert seen[step]["secrets mounted"] == [where for where, there in mounted.items() if there]
    assert seen[step]["credentials in the environment"] == names


@pytest.mark.parametrize("step", others({"publish"}))
def test_nobody_but_publish_can_read_the_signing_key(seen: Seen, step: str) -> None:
    assert seen[step]["read the signing key"] == "ENOENT"


@pytest.mark.parametrize("step", sorted(GIT_READERS))
@pytest.mark.parametrize("attempt", ["push to the environments", "push to the models"])
def test_the_forge_refuses_a_push_with_the_credential_that_reads(seen: Seen, attempt: str, step: str) -> None:
    assert seen[step][attempt] == "rejected"


@pytest.mark.parametrize("attempt", ["push to the environments", "push to the models"])
def test_training_does_not_reach_the_forge(seen: Seen, attempt: str) -> None:
    assert seen["train"][attempt] == "not reached"


@pytest.mark.parametrize("step", others(GIT_READERS, GIT_WRITERS, {"train"}))
@pytest.mark.parametrize("attempt", ["push to the environments", "push to the models"])
def test_a_step_without_a_credential_cannot_push(seen: Seen, attempt: str, step: str) -> None:
    assert seen[step][attempt] == "no credential"


@pytest.mark.parametrize("step", sorted(GIT_WRITERS))
def test_who_writes_the_environments_does_not_know_the_models(seen: Seen, step: str) -> None:
    assert (seen[step]["push to the environments"], seen[step]["push to the models"]) == ("done", "not found")


def test_the_token_of_the_forge_that_merges_writes_no_protected_branch(seen: Seen) -> None:
    assert seen["promote"]["write main past git"] == "HTTP 403"


@pytest.mark.parametrize("step", sorted(FORGE - {"promote"}))
def test_the_token_of_a_step_that_speaks_of_the_models_does_not_know_the_environments(seen: Seen, step: str) -> None:
    assert seen[step]["write main past git"] == "HTTP 404"


@pytest.mark.parametrize("step", others(STORE_WRITERS))
@pytest.mark.parametrize("attempt", ["write the store", "delete from the store"])
def test_the_bucket_refuses_who_does_not_publish(seen: Seen, attempt: str, step: str) -> None:
    assert seen[step][attempt] == "HTTP 403"


@pytest.mark.parametrize("step", others(STORE_READERS, STORE_WRITERS))
def test_the_bucket_refuses_a_reader_without_keys(seen: Seen, step: str) -> None:
    assert seen[step]["read the store"] == "HTTP 403"


@pytest.mark.parametrize("step", sorted(STORE_READERS | STORE_WRITERS))
def test_the_bucket_is_read_with_the_keys_that_a_step_has(seen: Seen, step: str) -> None:
    assert seen[step]["read the store"] == "HTTP 200"


@pytest.mark.parametrize("step", EVERY)
def test_a_step_cannot_write_the_artifacts(seen: Seen, step: str) -> None:
    assert seen[step]["write the artifacts"] == "HTTP 403"


def test_training_sees_its_own_folders_of_the_workspace_alone(seen: Seen) -> None:
    workspace = seen["train"]["see the workspace"].split()
    assert workspace[0] == "datasets"
    assert len(workspace) == 2
    assert seen["train"]["see the run"] == f"{MODEL} source"


@pytest.mark.parametrize("attempt", ["read another model's", "read another model's by .."])
def test_training_cannot_read_another_models_folder(seen: Seen, attempt: str) -> None:
    assert (seen["train"][attempt], seen["validate"][attempt]) == ("ENOENT", "done")


@pytest.mark.parametrize("attempt", ["write the workspace", "write the run", "write the source"])
def test_training_writes_nothing_but_its_own_folder(seen: Seen, attempt: str) -> None:
    assert (seen["train"][attempt], seen["train"]["write its own folder"]) == ("EROFS", "done")


@pytest.mark.parametrize("attempt", ["write the workspace", "write the run", "write the source"])
def test_publish_changes_nothing_of_what_was_judged(seen: Seen, attempt: str) -> None:
    assert seen["publish"][attempt] == "EROFS"


@pytest.mark.parametrize("step", ["bump", "retire", "promote", "catch-up", "report-outcome"])
def test_a_step_that_needs_no_files_has_no_workspace(seen: Seen, step: str) -> None:
    assert seen[step]["see the workspace"] == "ENOENT"
