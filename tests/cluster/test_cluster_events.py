"""What a delivery starts: the rendered EventSource and Sensor on the real Argo Events, asked as a forge asks them."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from hera_workflows.templates.render import render
from hera_workflows.templates.values import Values
from slipway.errors import TryAgain
from tests.cluster import services
from tests.cluster.asking import until
from tests.cluster.secrets import remembered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.kube import Kube
    from tests.cluster.place import Place

pytestmark = pytest.mark.slow
NAMESPACE = "event-tests"
SECRET = b"a secret of sixteen bytes or more"
BEFORE = "b" * 40


@dataclass(frozen=True)
class Events:
    """The event source of a namespace of its own."""

    kube: Kube
    address: str  # of the event source's Service
    metrics: str  # of the sensor's pod

    def deliver(self, body: dict[str, Any] | bytes, *, kind: str = "push", secret: bytes = SECRET) -> int:
        """Post a delivery as GitHub and Gitea do; the answer's status."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        signature = hmac.new(secret, content, hashlib.sha256).hexdigest()
        return self.post(content, {"X-GitHub-Event": kind, "X-Hub-Signature-256": f"sha256={signature}"})

    def post(self, content: bytes, headers: dict[str, str]) -> int:
        """The status that a POST is answered with."""
        headers = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(f"http://{self.address}:12000/push", data=content, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def workflows(self) -> dict[str, dict[str, str]]:
        """The parameters of every workflow there is, by its name."""
        found = self.kube.get("workflows", f"--namespace={NAMESPACE}") or {}
        return {
            item["metadata"]["name"]: {
                p["name"]: p["value"] for p in item["spec"].get("arguments", {}).get("parameters", [])
            }
            for item in found.get("items", [])
        }

    def until_started(self, name: str) -> dict[str, str]:
        """The parameters of that workflow, as soon as it is there."""
        return until(lambda: self.workflows().get(name), 60, f"workflow {name}")

    def counted(self, metric: str, trigger: str) -> int:
        """What the sensor counts for one of its triggers."""
        with urllib.request.urlopen(f"http://{self.metrics}:7777/metrics", timeout=10) as answer:
            text = answer.read().decode()
        lines = re.findall(rf'^argo_events_{metric}{{[^}}]*trigger_name="{trigger}"[^}}]*}} (\S+)$', text, re.MULTILINE)
        return int(float(lines[0])) if lines else 0


def pushed(after: str, *, before: str = BEFORE, repository: str = "team/models", ref: str = "refs/heads/main") -> Any:
    """The part of a push's payload that is read, and a list of commits that must not be."""
    commits = [{"id": "f" * 40, "added": ["models/$(id)/model.yaml"]}]
    return {
        "ref": ref,
        "before": before,
        "after": after,
        "repository": {"full_name": repository},
        "commits": commits,
    }


def commit(text: str) -> str:
    """A commit id that no other test uses."""
    return hashlib.sha1(text.encode()).hexdigest()


def name(trigger: str, after: str) -> str:
    return f"{trigger}-{after[:12]}-{BEFORE[:12]}"


@pytest.fixture(scope="module")
def events(place: Place, kube: Kube, about: dict[str, Any]) -> Iterator[Events]:
    kube.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true", seconds=120)
    values = Values.model_validate(
        {
            "namespace": NAMESPACE,
            "environments": ["event-tests-staging"],
            "forge": {
                "kind": "gitea",
                "url": about["forge"]["url"],
                "source_project": "team/models",
                "env_project": "team/environments",
            },
            "event_bus": {
                "kind": "exotic",
                "url": f"nats://{about['nats']}",
                "replicas": 1,
                "access_secret": "slipway-bus",
            },
        }
    )
    files = render(values)
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
        words = ["wait", "pods", f"--selector={kind}", f"--namespace={NAMESPACE}"]
        kube.run(*words, "--for=create", "--timeout=60s", seconds=70)
        kube.run(*words, "--for=condition=Ready", "--timeout=90s", seconds=100)
    service = kube.get("service", f"{NAMESPACE}-eventsource-svc", f"--namespace={NAMESPACE}") or {}
    pods = kube.get("pods", f"--selector=sensor-name={NAMESPACE}", f"--namespace={NAMESPACE}") or {}
    found = Events(kube, service["spec"]["clusterIP"], pods["items"][0]["status"]["podIP"])
    until(lambda: _answers(found) or None, 60, "the event source listens")
    for trigger, repository in (("push", "team/models"), ("promote", "team/environments")):
        until(lambda t=trigger, r=repository: _listens(found, t, r), 60, f"the sensor listens for {trigger}")
    yield found
    kube.run("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", NAMESPACE, "--ignore-not-found")
    kube.run("delete", "namespace", NAMESPACE, "--wait=false")


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


def test_a_push_of_models_starts_the_workflow_that_is_named_after_its_commits(events: Events) -> None:
    after = commit("a push")
    assert events.deliver(pushed(after)) == 200
    assert events.until_started(name("push", after)) == {"before": BEFORE, "after": after}


def test_a_push_to_the_environment_repository_starts_the_promoter(events: Events) -> None:
    after = commit("a merge")
    events.deliver(pushed(after, repository="team/environments"))
    assert events.until_started(name("promote", after)) == {}


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
def test_a_forged_or_broken_delivery_is_refused(events: Events, how: str) -> None:
    assert FORGED[how](events, pushed(commit(how))) == 400


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
