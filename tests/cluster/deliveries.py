"""An event source and a sensor alone in a namespace, and deliveries to it as forges make them."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hera_workflows.templates.values import Values
from slipway.errors import TryAgain
from tests.cluster.asking import until

if TYPE_CHECKING:
    from tests.cluster.kube import Kube

__all__ = [
    "BEFORE",
    "NAMESPACE",
    "SECRET",
    "Events",
    "address",
    "commit",
    "name",
    "pushed",
    "pushed_to_gitlab",
    "refuse",
    "secret",
    "values",
    "wait_for",
    "waits",
]

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


def pushed_to_gitlab(
    after: str, *, project: str = "team/models", ref: str = "refs/heads/main", kind: str = "push"
) -> bytes:
    """A delivery of GitLab as its documentation has one, the lists of changed files left out."""
    namespace, _, name = project.rpartition("/")
    page = f"https://gitlab.example/{project}"
    clone = {"git_http_url": f"{page}.git", "git_ssh_url": f"git@gitlab.example:{project}.git"}
    about = {"name": name, "description": "", "homepage": page, "visibility_level": 0}
    where = {"id": 15, "web_url": page, "namespace": namespace, "path_with_namespace": project}
    ada = {"name": "Ada", "email": "ada@forge.test"}
    commits = [{"id": after, "message": "Train digits\n", "timestamp": "2026-11-29T12:00:00+00:00", "author": ada}]
    delivery = {
        "object_kind": kind,
        "event_name": kind,
        "before": BEFORE,
        "after": after,
        "ref": ref,
        "ref_protected": True,
        "checkout_sha": after,
        "user_id": 4,
        "user_username": "ada",
        "project_id": 15,
        "project": {**about, **clone, **where},
        "commits": commits,
        "total_commits_count": 1,
        "push_options": {},
        "repository": {**about, **clone, "url": clone["git_ssh_url"]},
    }
    return json.dumps(delivery).encode()


def commit(text: str) -> str:
    """A commit id that no other test uses."""
    return hashlib.sha1(text.encode()).hexdigest()


def name(trigger: str, after: str) -> str:
    return f"{trigger}-{after[:12]}-{BEFORE[:12]}"


def values(about: dict[str, Any], kind: str) -> Values:
    """Of an installation beside the real one, with a forge of that kind."""
    return Values.model_validate(
        {
            "namespace": NAMESPACE,
            "environments": ["event-tests-staging"],
            "forge": {
                "kind": kind,
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


def wait_for(kube: Kube, kind: str) -> None:
    """Return when the pod with that label is Ready."""
    words = ["wait", "pods", f"--selector={kind}", f"--namespace={NAMESPACE}"]
    kube.run(*words, "--for=create", "--timeout=60s", seconds=70)
    kube.run(*words, "--for=condition=Ready", "--timeout=90s", seconds=100)


def address(kube: Kube, source: str) -> str:
    """Of an event source's Service."""
    service = kube.get("service", f"{source}-eventsource-svc", f"--namespace={NAMESPACE}") or {}
    return str(service["spec"]["clusterIP"])


def secret(name: str, content: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": content}


def waits(template: str) -> dict[str, Any]:
    """A workflow of that name that does nothing: here only starting it is looked at."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": template, "namespace": NAMESPACE},
        "spec": {"entrypoint": "wait", "templates": [{"name": "wait", "suspend": {}}]},
    }


def refuse(kube: Kube, workflow: str) -> None:
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
