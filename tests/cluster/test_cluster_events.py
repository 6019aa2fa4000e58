"""What a delivery starts: the rendered EventSource and Sensor on the real Argo Events, asked as a forge asks them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from hera_workflows.forges import ForgeFlags
from hera_workflows.steps.catch_up import delivery
from hera_workflows.templates.render import render
from slipway.errors import TryAgain
from tests.cluster import services
from tests.cluster.asking import until
from tests.cluster.deliveries import BEFORE, NAMESPACE, SECRET, Events, address, commit, name, pushed, values, wait_for
from tests.cluster.secrets import remembered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.kube import Kube
    from tests.cluster.place import Place

pytestmark = pytest.mark.slow
GITLAB = "event-tests-gitlab"  # an event source
SHOWN = {"X-Gitlab-Token": SECRET.decode()}


@pytest.fixture(scope="module")
def events(place: Place, kube: Kube, about: dict[str, Any]) -> Iterator[Events]:
    kube.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true", seconds=120)
    files = render(values(about, "gitea"))
    wanted = [f"namespaces/{NAMESPACE}.yaml", "access/events.yaml", *(f for f in files if f.startswith("events/"))]
    documents = [document for file in wanted for document in yaml.safe_load_all(files[file])]
    # What it may do in Argo CD's namespace is the installed slipway's.
    documents = [d for d in documents if d["metadata"].get("namespace") in (NAMESPACE, None)]
    for document in documents:
        for trigger in document["spec"]["triggers"] if document["kind"] == "Sensor" else []:
            trigger["retryStrategy"]["steps"] = 2  # of the eight, whose waits are four minutes
    bus = {"username": services.NATS_USER, "password": remembered(place, "nats")}
    secrets = {"slipway-webhook": {"secret": SECRET.decode()}, "slipway-bus": {"password": json.dumps(bus)}}
    kube.apply(documents[:1])
    kube.apply([_secret(name, content) for name, content in secrets.items()])
    kube.apply([*documents[1:], *map(_waits, ("slipway-push", "slipway-promote", "slipway-dead-letter"))])
    for kind in (f"eventsource-name={NAMESPACE}", f"sensor-name={NAMESPACE}"):
        wait_for(kube, kind)
    pods = kube.get("pods", f"--selector=sensor-name={NAMESPACE}", f"--namespace={NAMESPACE}") or {}
    found = Events(kube, address(kube, NAMESPACE), pods["items"][0]["status"]["podIP"])
    until(lambda: _answers(found) or None, 60, "the event source listens")
    for trigger, repository in (("push", "team/models"), ("promote", "team/environments")):
        until(lambda t=trigger, r=repository: _listens(found, t, r), 60, f"the sensor listens for {trigger}")
    yield found
    kube.run("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", NAMESPACE, "--ignore-not-found")
    kube.run("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def gitlab(kube: Kube, about: dict[str, Any], events: Events) -> Events:
    """The event source of an installation with GitLab, beside the other one; no sensor listens to it."""
    source = yaml.safe_load(render(values(about, "gitlab"))["events/event-source.yaml"])
    source["metadata"]["name"] = GITLAB
    kube.apply([source])
    wait_for(kube, f"eventsource-name={GITLAB}")
    found = replace(events, address=address(kube, GITLAB))
    until(lambda: _takes(found) or None, 60, "the event source for GitLab takes deliveries")
    return found


def _secret(name: str, content: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": content}


def _waits(template: str) -> dict[str, Any]:
    """A workflow of that name that does nothing: here only starting it is looked at."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": template, "namespace": NAMESPACE},
        "spec": {"entrypoint": "wait", "templates": [{"name": "wait", "suspend": {}}]},
    }


def _listens(events: Events, trigger: str, repository: str) -> bool | None:
    """A sensor that has never run gets what comes after it asked for it, which is some time after its pod is Ready."""
    events.deliver(pushed(commit("first"), repository=repository))
    return name(trigger, commit("first")) in events.workflows() or None


def _answers(events: Events) -> bool:
    try:
        return events.deliver(b"{", secret=b"") == 400
    except OSError:
        return False


def _takes(gitlab: Events) -> bool:
    try:
        return gitlab.post(b"{}", SHOWN) == 200
    except OSError:
        return False


def test_a_push_of_models_starts_the_workflow_that_is_named_after_its_commits(events: Events) -> None:
    after = commit("a push")
    assert events.deliver(pushed(after)) == 200
    assert events.until_started(name("push", after)) == {"before": BEFORE, "after": after}


def test_a_push_to_the_environment_repository_starts_the_promoter(events: Events) -> None:
    after = commit("a merge")
    events.deliver(pushed(after, repository="team/environments"))
    assert events.until_started(name("promote", after)) == {}


def test_a_push_to_a_repository_whose_name_the_values_write_in_another_case_starts_the_workflow(events: Events) -> None:
    after = commit("another case")
    events.deliver(pushed(after, repository="Team/Models"))
    assert events.until_started(name("push", after)) == {"before": BEFORE, "after": after}


def test_a_delivery_that_comes_again_starts_nothing_and_is_no_dead_letter(events: Events) -> None:
    after = commit("twice")
    events.deliver(pushed(after))
    events.until_started(name("push", after))
    begun, done = events.workflows().keys(), events.counted("action_triggered_total", "push")
    events.deliver(pushed(after))
    until(lambda: events.counted("action_triggered_total", "push") > done or None, 60, "the sensor has acted again")
    assert events.workflows().keys() == begun
    assert events.counted("action_retries_failed_total", "push") == 0


FORGED = {
    "with another secret": lambda e, b: e.deliver(b, secret=b"not the secret at all"),
    "with an empty secret": lambda e, b: e.deliver(b, secret=b""),
    "unsigned": lambda e, b: e.post(json.dumps(b).encode(), {"X-GitHub-Event": "push"}),
    "truncated": lambda e, b: e.deliver(json.dumps(b).encode()[:-20]),
    "oversized": lambda e, b: e.deliver({**b, "padding": "x" * (1 << 20)}),
}


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_or_broken_delivery_is_refused_and_starts_nothing(events: Events, how: str) -> None:
    begun, after = events.workflows().keys(), commit(f"after {how}")
    assert FORGED[how](events, pushed(commit(how))) == 400
    events.deliver(pushed(after))
    events.until_started(name("push", after))
    assert events.workflows().keys() == begun | {name("push", after)}


NOT_SHOWN = {
    "nothing": {},
    "another secret": {"X-Gitlab-Token": "not the secret at all"},
    "an empty secret": {"X-Gitlab-Token": ""},
}


@pytest.mark.parametrize("shown", NOT_SHOWN)
def test_a_delivery_of_gitlab_that_does_not_show_the_secret_is_refused(gitlab: Events, shown: str) -> None:
    assert gitlab.post(b"{}", NOT_SHOWN[shown]) == 400


def test_a_delivery_of_gitlab_that_shows_the_secret_is_taken(gitlab: Events) -> None:
    assert gitlab.post(b"{}", SHOWN) == 200


def test_what_catch_up_delivers_for_gitlab_is_taken(gitlab: Events) -> None:
    flags = ForgeFlags("gitlab", "https://gitlab.example", "team/models", "team/environments", "")
    headers, body = delivery(flags, "refs/heads/main", BEFORE, commit("missed"), SECRET.decode())
    assert gitlab.post(body, headers) == 200


IGNORED = {
    "another branch": (pushed(commit("branch"), ref="refs/heads/mainly"), "push"),
    "a tag": (pushed(commit("tag"), ref="refs/tags/refs/heads/main"), "push"),
    "a deleted branch": (pushed("0" * 40), "push"),
    "another repository": (pushed(commit("repository"), repository="team/models-of-others"), "push"),
    "a repository that is named by a pattern": (pushed(commit("pattern"), repository="team/model."), "push"),
    "another kind of event": (pushed(commit("kind")), "pull_request"),
    "a commit that is none": (pushed("../../" + commit("hostile")[:34]), "push"),
}


@pytest.mark.parametrize("what", IGNORED)
def test_what_is_no_push_to_the_branch_starts_nothing(events: Events, what: str) -> None:
    body, kind = IGNORED[what]
    begun, after = events.workflows().keys(), commit(f"after {what}")
    assert events.deliver(body, kind=kind) == 200
    events.deliver(pushed(after))
    events.until_started(name("push", after))
    assert events.workflows().keys() == begun | {name("push", after)}


def test_an_event_that_no_retry_can_process_is_told_to_people(events: Events) -> None:
    after = commit("refused")
    _refuse(events.kube, name("push", after))
    events.deliver(pushed(after))

    def told() -> list[str] | None:
        return [p["lost"] for n, p in events.workflows().items() if n.startswith("dead-letter-")] or None

    assert until(told, 60, "a dead letter") == [f"push of {after[:12]}"]
    assert events.counted("action_retries_failed_total", "push") == 1


def _refuse(kube: Kube, workflow: str) -> None:
    """Let the API server refuse one workflow by its name; return when it does."""
    group = "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": ["argoproj.io"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["workflows"]}
    policy = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": f"object.metadata.name != '{workflow}'", "message": "refused by the test"}],
    }
    binding = {
        "policyName": NAMESPACE,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}},
    }
    for kind, spec in (("ValidatingAdmissionPolicy", policy), ("ValidatingAdmissionPolicyBinding", binding)):
        kube.apply([{"apiVersion": group, "kind": kind, "metadata": {"name": NAMESPACE}, "spec": spec}])
    candidate = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": workflow, "namespace": NAMESPACE},
        "spec": {"workflowTemplateRef": {"name": "slipway-push"}},
    }

    def refused() -> bool | None:
        try:
            kube.run("create", "--dry-run=server", "-f", "-", text=json.dumps(candidate))
        except TryAgain as error:
            return "refused by the test" in str(error) or None
        return None

    until(refused, 60, "the API server refuses the workflow")
