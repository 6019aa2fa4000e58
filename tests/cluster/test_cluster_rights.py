"""What is refused to each pod, asked from inside the pod: its account, volumes and Secrets, another program.

The pods are those of the installed WorkflowTemplates, but for the command, and for retries and outputs, and pods like
those that Argo Events made for event source and sensor.
"""

from __future__ import annotations

import json
import uuid
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

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
    "slipway-dead-letter": ["report-outcome"],
}


def called(template: str, step: str) -> str:
    """Steps are called by their names; what tells of an event that started nothing has the name of another."""
    return "dead-letter" if template == "slipway-dead-letter" else step


EVERY = [called(template, step) for template, steps in STEPS.items() for step in steps]
RESIDENT = {"event-source": "eventsource-name=slipway", "sensor": "sensor-name=slipway"}
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
    for key in (f"attempts/{pod}" for pod in (*EVERY, *RESIDENT)):
        store.put_object(Bucket=buckets.MODELS, Key=key, Body=b"there before")
    name = f"rights-{uuid.uuid4().hex[:8]}"
    given = {"run": name, "model": MODEL, "forge": team.URL, "s3": about["s3"]["endpoint"], "bucket": buckets.MODELS}
    program = Path(attempts.__file__).read_text()

    def command(pod: str) -> list[str]:
        asked = {**given, "step": pod, "prepare": pod == "plan", "tidy": pod == "gc"}
        return ["python", "-c", program, json.dumps(asked)]

    found: Seen = {}
    for template, steps in STEPS.items():
        of = partial(called, template)
        borrowed.submit(kube, name, template, steps, lambda step, of=of: command(of(step)), {"model": MODEL})
        for step in steps:
            found[of(step)] = attempts.read(borrowed.said(kube, name, step), f"the pod of {step} of {template}")
        kube.run("delete", "workflow", name, "--namespace=slipway", "--wait=true", seconds=90)
    image = yaml.safe_load(place.path("install/values.yaml").read_text())["images"]["light"]
    for pod, selector in RESIDENT.items():
        found[pod] = attempts.read(borrowed.beside(kube, f"{name}-{pod}", selector, image, command(pod)), pod)
    yield found
    for key in (f"attempts/{pod}{kind}" for pod in (*EVERY, *RESIDENT) for kind in ("", "-new")):
        store.delete_object(Bucket=buckets.MODELS, Key=key)
    # Who may push has pushed.
    for pod in (*EVERY, *RESIDENT):
        where = f"/repos/{team.ENVIRONMENTS}/branches/attempt-{pod}"
        administrator(place).call("DELETE", where, accept=(404,))


def others(*but: set[str]) -> list[str]:
    return [step for step in EVERY if step not in set().union(*but)]


@pytest.mark.parametrize("pod", [*EVERY, *RESIDENT])
def test_a_pod_is_of_an_ordinary_user_without_capabilities(seen: Seen, pod: str) -> None:
    none = "0" * 16
    assert (seen[pod]["user"], seen[pod]["capabilities"]) == ("1000", f"{none} {none} {none}")


@pytest.mark.parametrize("pod", [*EVERY, *RESIDENT])
def test_a_pod_cannot_become_root(seen: Seen, pod: str) -> None:
    assert (seen[pod]["become root"], seen[pod]["no new privileges, seccomp"]) == ("EPERM", "1 2")


@pytest.mark.parametrize("pod", [*EVERY, *RESIDENT])
@pytest.mark.parametrize("attempt", ["write the root", "write slipway's code"])
def test_a_pod_cannot_change_its_image(seen: Seen, attempt: str, pod: str) -> None:
    assert seen[pod][attempt] == "EROFS"


@pytest.mark.parametrize("pod", [*others({"promote"}), "event-source"])
def test_a_pod_that_asks_kubernetes_nothing_has_no_token(seen: Seen, pod: str) -> None:
    assert (seen[pod]["read a token"], seen[pod]["list applications"]) == ("ENOENT", "HTTP 403")


def test_promote_may_ask_what_is_live(seen: Seen) -> None:
    assert seen["promote"]["list applications"] == "HTTP 200"


def test_the_sensor_may_start_workflows_and_ask_argo_cd_to_look(seen: Seen) -> None:
    assert (seen["sensor"]["create a workflow"], seen["sensor"]["ask Argo CD to look"]) == ("HTTP 201", "HTTP 200")


REFUSED = [
    "list secrets",
    "get the signing key",
    "create one elsewhere",
    "delete a workflow",
    "create a pod",
    "create a result",
    "patch an application",
    "patch what Argo CD applies",
    "patch a deployment",
]


@pytest.mark.parametrize("pod", [*EVERY, *RESIDENT])
@pytest.mark.parametrize("attempt", REFUSED)
def test_the_kubernetes_api_refuses_a_pod(seen: Seen, attempt: str, pod: str) -> None:
    assert seen[pod][attempt] == "HTTP 403"


@pytest.mark.parametrize("pod", [*EVERY, "event-source"])
@pytest.mark.parametrize("attempt", ["create a workflow", "ask Argo CD to look"])
def test_nobody_but_the_sensor_starts_anything(seen: Seen, attempt: str, pod: str) -> None:
    assert seen[pod][attempt] == "HTTP 403"


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


def test_the_event_source_has_the_secrets_of_webhook_and_bus_alone(seen: Seen) -> None:
    assert seen["event-source"]["secrets mounted"] == ["/argo-events/secrets/slipway-webhook", "/etc/eventbus/auth"]
    assert seen["event-source"]["credentials in the environment"] == []


def test_the_sensor_has_the_buss_secret_and_its_own_token_alone(seen: Seen) -> None:
    assert seen["sensor"]["secrets mounted"] == ["/etc/eventbus/auth", "/run/secrets/kubernetes.io/serviceaccount"]
    assert seen["sensor"]["credentials in the environment"] == []


@pytest.mark.parametrize("template", ["slipway-promote", "slipway-gc", "slipway-catch-up"])
def test_who_tells_how_another_workflow_ended_has_what_the_dead_letters_pod_has(kube: Kube, template: str) -> None:
    assert _outcome(kube, template) == _outcome(kube, "slipway-dead-letter")


def _outcome(kube: Kube, template: str) -> dict[str, Any]:
    """What the pod of report-outcome is made of, but for what it says and how often it is tried."""
    spec = (kube.get("workflowtemplate", template, "--namespace=slipway") or {})["spec"]
    [step] = [one for one in spec["templates"] if one["name"] == "report-outcome"]
    of_all = {key: spec[key] for key in ("volumes", "executor", "securityContext", "automountServiceAccountToken")}
    return {**of_all, **step, "container": {**step["container"], "args": []}, "retryStrategy": {}}


@pytest.mark.parametrize("pod", [*others({"publish"}), *RESIDENT])
def test_nobody_but_publish_can_read_the_signing_key(seen: Seen, pod: str) -> None:
    assert seen[pod]["read the signing key"] == "ENOENT"


@pytest.mark.parametrize("step", sorted(GIT_READERS))
@pytest.mark.parametrize("attempt", ["push to the environments", "push to the models"])
def test_the_forge_refuses_a_push_with_the_credential_that_reads(seen: Seen, attempt: str, step: str) -> None:
    assert seen[step][attempt] == "rejected"


@pytest.mark.parametrize("attempt", ["push to the environments", "push to the models"])
def test_training_does_not_reach_the_forge(seen: Seen, attempt: str) -> None:
    assert seen["train"][attempt] == "not reached"


@pytest.mark.parametrize("pod", [*others(GIT_READERS, GIT_WRITERS, {"train"}), *RESIDENT])
@pytest.mark.parametrize("attempt", ["push to the environments", "push to the models"])
def test_a_pod_without_a_credential_cannot_push(seen: Seen, attempt: str, pod: str) -> None:
    assert seen[pod][attempt] == "no credential"


@pytest.mark.parametrize("step", sorted(GIT_WRITERS))
def test_who_writes_the_environments_does_not_know_the_models(seen: Seen, step: str) -> None:
    assert (seen[step]["push to the environments"], seen[step]["push to the models"]) == ("done", "not found")


def test_the_token_of_the_forge_that_merges_writes_no_protected_branch(seen: Seen) -> None:
    assert seen["promote"]["write main past git"] == "HTTP 403"


@pytest.mark.parametrize("step", sorted(FORGE - {"promote"}))
def test_the_token_of_a_step_that_speaks_of_the_models_does_not_know_the_environments(seen: Seen, step: str) -> None:
    assert seen[step]["write main past git"] == "HTTP 404"


@pytest.mark.parametrize("pod", [*others(STORE_WRITERS), *RESIDENT])
@pytest.mark.parametrize("attempt", ["write the store", "delete from the store"])
def test_the_bucket_refuses_who_does_not_publish(seen: Seen, attempt: str, pod: str) -> None:
    assert seen[pod][attempt] == "HTTP 403"


@pytest.mark.parametrize("pod", [*others(STORE_READERS, STORE_WRITERS), *RESIDENT])
def test_the_bucket_refuses_a_reader_without_keys(seen: Seen, pod: str) -> None:
    assert seen[pod]["read the store"] == "HTTP 403"


@pytest.mark.parametrize("step", sorted(STORE_READERS | STORE_WRITERS))
def test_the_bucket_is_read_with_the_keys_that_a_step_has(seen: Seen, step: str) -> None:
    assert seen[step]["read the store"] == "HTTP 200"


@pytest.mark.parametrize("pod", [*EVERY, *RESIDENT])
def test_a_pod_cannot_write_the_artifacts(seen: Seen, pod: str) -> None:
    assert seen[pod]["write the artifacts"] == "HTTP 403"


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


@pytest.mark.parametrize("step", ["bump", "retire", "promote", "catch-up", "report-outcome", "dead-letter"])
def test_a_step_that_needs_no_files_has_no_workspace(seen: Seen, step: str) -> None:
    assert seen[step]["see the workspace"] == "ENOENT"
