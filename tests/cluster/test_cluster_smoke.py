"""Does the test cluster do what the parts of slipway on it will rely on?"""

from __future__ import annotations

import base64
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.forge import Forge
    from tests.cluster.kube import Kube

pytestmark = pytest.mark.slow

T = TypeVar("T")


def until(answer: Callable[[], T | None], seconds: float, what: str) -> T:
    """The first answer that is not None."""
    end = time.monotonic() + seconds
    while (found := answer()) is None:
        assert time.monotonic() < end, f"{what}: not so after {seconds} s"
        time.sleep(0.2)
    return found


def test_two_steps_rendered_by_hera_run_in_pods_and_their_logs_outlive_them(
    kube: Kube, about: dict[str, Any], namespace: str
) -> None:
    from hera.workflows import Container, Parameter, Steps, Workflow
    from hera.workflows.models import ValueFrom

    image = about["images"]["base"]
    with Workflow(name="two-steps", namespace=namespace, entrypoint="all", service_account_name="step") as workflow:
        write = Container(
            name="write",
            image=image,
            command=["python", "-c", "open('/tmp/n', 'w').write('42'); print('written')"],
            outputs=[Parameter(name="number", value_from=ValueFrom(path="/tmp/n"))],
        )
        read = Container(
            name="read",
            image=image,
            command=["python", "-c", "import sys; print('read', sys.argv[1])"],
            args=["{{inputs.parameters.number}}"],
            inputs=[Parameter(name="number")],
        )
        with Steps(name="all"):
            write(name="write")
            read(name="read", arguments={"number": "{{steps.write.outputs.parameters.number}}"})
    kube.apply(workflow.to_yaml())

    status = _finished(kube, namespace, "two-steps")

    assert status["phase"] == "Succeeded", status.get("message")
    kube.run("delete", "pods", "--all", f"--namespace={namespace}", "--wait=true")
    pod = next(node["id"] for node in status["nodes"].values() if node["displayName"] == "read")
    assert b"read 42" in _archived_log(kube, about, namespace, "two-steps", pod)


def _finished(kube: Kube, namespace: str, name: str) -> dict[str, Any]:
    def answer() -> dict[str, Any] | None:
        workflow = kube.get("workflow", name, f"--namespace={namespace}")
        status: dict[str, Any] = (workflow or {}).get("status", {})
        return status if status.get("phase") in {"Succeeded", "Failed", "Error"} else None

    return until(answer, 120, f"workflow {name} is finished")


def _archived_log(kube: Kube, about: dict[str, Any], namespace: str, workflow: str, node: str) -> bytes:
    """As an ordinary user: with the token of an account that may only read workflows."""
    user = {"name": "reader", "namespace": namespace}
    rbac = "rbac.authorization.k8s.io"
    kube.apply([{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": user}])
    kube.apply(
        [
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "Role",
                "metadata": user,
                "rules": [
                    {"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["get", "list"]},
                    # argo-server reads the artifact store with the rights of who asks.
                    {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["artifacts"], "verbs": ["get"]},
                ],
            },
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "RoleBinding",
                "metadata": user,
                "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "reader"},
                "subjects": [{"kind": "ServiceAccount", **user}],
            },
        ]
    )
    token = kube.run("create", "token", "reader", f"--namespace={namespace}").strip()
    url = f"{about['argo_server']}/artifact-files/{namespace}/workflows/{workflow}/{node}/outputs/main-logs"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        content: bytes = answer.read()
    return content


def test_a_signed_webhook_becomes_a_workflow_and_a_forged_one_does_not(
    kube: Kube, about: dict[str, Any], namespace: str, repository: str, ada: Forge
) -> None:
    for manifest in _events(namespace, about):
        kube.apply([manifest])
    for kind in ("eventsource-name=forge", "sensor-name=forge"):
        kube.run("wait", "pods", f"--selector={kind}", f"--namespace={namespace}", "--for=create", "--timeout=60s")
        words = ["wait", "pods", f"--selector={kind}", f"--namespace={namespace}", "--for=condition=Ready"]
        kube.run(*words, "--timeout=90s", seconds=100)
    service = kube.get("service", "forge-eventsource-svc", f"--namespace={namespace}")
    assert service
    url = f"http://{service['spec']['clusterIP']}:12000/push"
    until(lambda: True if _posts(url, b"{}") else None, 60, "the event source listens")
    for secret in ("not-the-secret", about["webhook_secret"]):
        hook = {"url": url, "content_type": "json", "secret": secret}
        wanted = {"type": "gitea", "config": hook, "events": ["push"], "active": True}
        ada.call("POST", f"/repos/{repository}/hooks", wanted)

    head = _commit(ada, repository, "model.yaml", "name: digits\n")

    items = until(lambda: _workflows(kube, namespace) or None, 60, "a workflow")
    assert _finished(kube, namespace, items[0]["metadata"]["name"])["phase"] == "Succeeded"
    items = _workflows(kube, namespace)
    assert [item["spec"]["arguments"]["parameters"][0]["value"] for item in items] == [head]


def _workflows(kube: Kube, namespace: str) -> list[dict[str, Any]]:
    found = kube.get("workflows", f"--namespace={namespace}")
    items: list[dict[str, Any]] = (found or {}).get("items", [])
    return items


def _posts(url: str, body: bytes) -> bool:
    """Whether anyone answers, whatever the answer."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _events(namespace: str, about: dict[str, Any]) -> list[dict[str, Any]]:
    def thing(version: str, kind: str, name: str, **fields: Any) -> dict[str, Any]:
        metadata = {"name": name, "namespace": namespace}
        return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}

    argo, rbac = "argoproj.io/v1alpha1", "rbac.authorization.k8s.io"
    webhook = {"endpoint": "/push", "port": "12000", "method": "POST"}
    source = {
        "repositories": [{"owner": "team", "names": ["any"]}],
        "webhook": webhook,
        "events": ["push"],
        "webhookSecret": {"name": "webhook", "key": "secret"},
        "contentType": "json",
        "active": True,
    }
    command = ["python", "-c", "import sys; print(sys.argv[1])", "{{inputs.parameters.after}}"]
    run = {
        "entrypoint": "run",
        "serviceAccountName": "step",
        "arguments": {"parameters": [{"name": "after", "value": ""}]},
        "templates": [
            {
                "name": "run",
                "inputs": {"parameters": [{"name": "after"}]},
                "container": {"image": about["images"]["base"], "command": command},
            }
        ],
    }
    resource = {"apiVersion": argo, "kind": "Workflow", "metadata": {"generateName": "push-"}, "spec": run}
    parameter = {
        "src": {"dependencyName": "push", "dataKey": "body.after"},
        "dest": "spec.arguments.parameters.0.value",
    }
    trigger = {"operation": "create", "source": {"resource": resource}, "parameters": [parameter]}
    create = {"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["create"]}
    return [
        thing("v1", "Secret", "webhook", stringData={"secret": about["webhook_secret"]}),
        thing("v1", "ServiceAccount", "sensor"),
        thing(f"{rbac}/v1", "Role", "sensor", rules=[create]),
        thing(
            f"{rbac}/v1",
            "RoleBinding",
            "sensor",
            roleRef={"apiGroup": rbac, "kind": "Role", "name": "sensor"},
            subjects=[{"kind": "ServiceAccount", "name": "sensor", "namespace": namespace}],
        ),
        thing(
            argo,
            "EventBus",
            "default",
            spec={"jetstreamExotic": {"url": f"nats://{about['nats']}", "streamConfig": "replicas: 1\n"}},
        ),
        thing(
            argo,
            "EventSource",
            "forge",
            spec={"service": {"ports": [{"port": 12000, "targetPort": 12000}]}, "github": {"push": source}},
        ),
        thing(
            argo,
            "Sensor",
            "forge",
            spec={
                "template": {"serviceAccountName": "sensor"},
                "dependencies": [{"name": "push", "eventSourceName": "forge", "eventName": "push"}],
                "triggers": [{"template": {"name": "run", "k8s": trigger}}],
            },
        ),
    ]


def test_a_commit_becomes_synced_and_healthy(
    kube: Kube, about: dict[str, Any], namespace: str, repository: str, ada: Forge
) -> None:
    url = f"{about['forge']['url']}/{repository}.git"
    credential = {"type": "git", "url": url, "username": ada.user, "password": ada.password}
    label = {"argocd.argoproj.io/secret-type": "repository"}
    _commit(ada, repository, "app/config.yaml", _config_map("first"))
    hook = {"url": f"{about['argo_cd']}/api/webhook", "content_type": "json", "secret": about["webhook_secret"]}
    ada.call(
        "POST", f"/repos/{repository}/hooks", {"type": "gitea", "config": hook, "events": ["push"], "active": True}
    )
    source = {"repoURL": url, "path": "app", "targetRevision": "main"}
    application = {
        "project": "default",
        "source": source,
        "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
        "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
    }
    named = {"name": namespace, "namespace": "argocd"}
    kube.apply(
        [
            {"apiVersion": "v1", "kind": "Secret", "metadata": {**named, "labels": label}, "stringData": credential},
            {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": named, "spec": application},
        ]
    )
    try:
        until(lambda: _revision(kube, namespace), 90, "the application is Synced and Healthy")

        head = _commit(ada, repository, "app/config.yaml", _config_map("second"))

        until(lambda: _revision(kube, namespace) == head or None, 30, "the commit is Synced and Healthy")
        config = kube.get("configmap", "config", f"--namespace={namespace}")
        assert config
        assert config["data"] == {"value": "second"}
    finally:
        kube.run("delete", "application", namespace, "--namespace=argocd", "--wait=false")
        kube.run("delete", "secret", namespace, "--namespace=argocd")


def _config_map(value: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: config}}\ndata: {{value: {value}}}\n"


def _revision(kube: Kube, application: str) -> str | None:
    """The commit at which the application is Synced, Healthy and its operation has succeeded; None while it is not."""
    found = kube.get("application", application, "--namespace=argocd")
    status: dict[str, Any] = (found or {}).get("status", {})
    good = (
        status.get("sync", {}).get("status") == "Synced"
        and status.get("health", {}).get("status") == "Healthy"
        and status.get("operationState", {}).get("phase") == "Succeeded"
    )
    return str(status["sync"]["revision"]) if good else None


def test_a_pull_request_is_merged_at_the_head_that_was_judged_and_at_no_other(
    repository: str, ada: Forge, grace: Forge
) -> None:
    judged = _commit(ada, repository, "release.env", "NUMBER=1\n", branch="promote", new=True)
    opened = {"head": "promote", "base": "main", "title": "Promote digits 1"}
    number = ada.call("POST", f"/repos/{repository}/pulls", opened)["number"]
    moved = _commit(ada, repository, "release.env", "NUMBER=2\n", branch="promote")
    merge = f"/repos/{repository}/pulls/{number}/merge"

    refused = grace.call("POST", merge, {"Do": "merge", "head_commit_id": judged}, accept=(409,))

    assert refused == 409
    until(lambda: _merged(grace, merge, moved), 30, "the merge of the current head")
    assert grace.call("GET", f"/repos/{repository}/pulls/{number}")["merged_by"]["login"] == grace.user


def _merged(forge: Forge, path: str, head: str) -> bool | None:
    """405: the forge is still checking whether the request can be merged."""
    return forge.call("POST", path, {"Do": "merge", "head_commit_id": head}, accept=(405,)) != 405 or None


def _commit(forge: Forge, repository: str, path: str, text: str, *, branch: str = "main", new: bool = False) -> str:
    """Write one file by one commit; the commit."""
    content = base64.b64encode(text.encode()).decode()
    target = {"new_branch": branch} if new else {"branch": branch}
    body = {"content": content, "message": f"Write {path}", **target}
    where = f"/repos/{repository}/contents/{path}"
    there = None if new else forge.call("GET", f"{where}?ref={branch}", accept=(404,))
    if isinstance(there, dict):
        return str(forge.call("PUT", where, {**body, "sha": there["sha"]})["commit"]["sha"])
    return str(forge.call("POST", where, body)["commit"]["sha"])
