"""Do workflows run, from Hera and from a signed webhook?"""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.asking import commit, finished, until

if TYPE_CHECKING:
    from tests.cluster.forge import Forge
    from tests.cluster.kube import Kube

pytestmark = pytest.mark.slow


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

    status = finished(kube, namespace, "two-steps")

    assert status["phase"] == "Succeeded", status.get("message")
    kube.run("delete", "pods", "--all", f"--namespace={namespace}", "--wait=true")
    pod = next(node["id"] for node in status["nodes"].values() if node["displayName"] == "read")
    assert b"read 42" in _archived_log(kube, about, namespace, "two-steps", pod)


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

    head = commit(ada, repository, "model.yaml", "name: digits\n")

    items = until(lambda: _workflows(kube, namespace) or None, 60, "a workflow")
    assert finished(kube, namespace, items[0]["metadata"]["name"])["phase"] == "Succeeded"
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
