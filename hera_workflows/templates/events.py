"""Which push starts which workflow, and how often?"""

from __future__ import annotations

import re
from typing import Any

from hera_workflows.templates.objects import CONTAINER_SECURITY, POD_SECURITY, Object, thing
from hera_workflows.templates.values import Values

__all__ = ["LOOK", "PORT", "REFRESH", "events"]

_EVENTS = "argoproj.io/v1alpha1"
PORT = 12000  # where the event source listens
REFRESH = "refresh"  # the trigger that starts no workflow
LOOK = "argocd.argoproj.io/application-set-refresh"  # the annotation by which Argo CD is asked to look at once
_LARGEST = 1 << 20  # bytes of a delivery; also what one message of JetStream carries
_HEX = "^([0-9a-f]{40}|[0-9a-f]{64})$"
# Some four minutes; a controller that rolls out needs less.
_RETRY = {"steps": 8, "duration": "2s", "factor": 2, "jitter": 0.1}
_NEEDS = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}  # of each container


def events(values: Values) -> dict[str, list[Object]]:
    """EventBus, EventSource, Sensor, and an Ingress where a host is given; by file.

    Source and sensor are named as their namespace: their names are all that keeps two installations on one bus apart.
    """
    files = {"event-bus": [_bus(values)], "event-source": [_source(values)], "sensor": [_sensor(values)]}
    return files | ({"ingress": [_ingress(values)]} if values.webhook.host else {})


def _bus(values: Values) -> Object:
    bus = values.event_bus
    stream = f"replicas: {bus.replicas}\n"
    if bus.kind == "exotic":
        access = {"accessSecret": {"name": bus.access_secret, "key": "password"}} if bus.access_secret else {}
        spec: dict[str, Any] = {"jetstreamExotic": {"url": bus.url, "streamConfig": stream, **access}}
    else:
        # JetStream's images keep their own root file system writable.
        security = {key: value for key, value in CONTAINER_SECURITY.items() if key != "readOnlyRootFilesystem"}
        container = {"securityContext": security, "resources": _NEEDS}
        spec = {
            "jetstream": {
                "version": bus.version,
                "replicas": bus.replicas,
                "streamConfig": stream,
                "persistence": {"accessMode": "ReadWriteOnce", "volumeSize": "1Gi"},
                "serviceAccountName": "slipway-event-bus",
                "securityContext": POD_SECURITY,
                "containerTemplate": container,
                "reloaderContainerTemplate": container,
                "metricsContainerTemplate": container,
            }
        }
    return thing("EventBus", _EVENTS, "default", values.namespace, spec=spec)


def _source(values: Values) -> Object:
    """One address for both repositories; which of them a delivery speaks of, the sensor reads in its signed body."""
    forge = values.forge
    secret = {"name": values.secrets.webhook, "key": "secret"}
    # The pod makes no webhook itself, and needs no token for that: the operator makes it.
    webhook = {"endpoint": "/push", "port": str(PORT), "method": "POST", "url": "", "maxPayloadSize": _LARGEST}
    if forge.kind == "gitlab":
        push: dict[str, Any] = {
            "events": ["PushEvents"],
            "gitlabBaseURL": forge.url,
            "secretToken": secret,
            # Must be there, and is never used.
            "accessToken": secret,
            # Argo Events compares the token only where it may make webhooks, and without a url it takes every delivery.
            # Here it has one, and no project to make a webhook in.
            "webhook": {**webhook, "url": forge.url},
        }
    else:
        # Gitea sends GitHub's headers and its signature too.
        owned = [project.rpartition("/") for project in (forge.source_project, forge.env_project)]
        push = {
            "repositories": [{"owner": owner, "names": [name]} for owner, _, name in owned],
            "events": ["push"],
            "contentType": "json",
            "active": True,
            "webhookSecret": secret,
            "webhook": webhook,
        }
    spec = {
        "eventBusName": "default",
        "template": _pod("slipway-event-source"),
        "service": {"ports": [{"name": "webhook", "port": PORT, "targetPort": PORT}]},
        "gitlab" if forge.kind == "gitlab" else "github": {"push": push},
    }
    return thing("EventSource", _EVENTS, values.namespace, values.namespace, spec=spec)


def _sensor(values: Values) -> Object:
    forge = values.forge
    # Whatever else of the payload there is, its list of commits for example, is not read: plan asks git.
    repositories = {
        "push": (forge.source_project, values.source_branch, ("before", "after")),
        "promote": (forge.env_project, "main", ()),
    }
    spec = {
        "eventBusName": "default",
        "template": _pod("slipway-sensor"),
        "dependencies": [_pushed(name, repo, ref, values) for name, (repo, ref, _) in repositories.items()],
        "triggers": [
            *(_trigger(name, passed, values) for name, (_, _, passed) in repositories.items()),
            _refresh(values),
        ],
    }
    return thing("Sensor", _EVENTS, values.namespace, values.namespace, spec=spec)


def _pushed(name: str, project: str, branch: str, values: Values) -> dict[str, Any]:
    """A push to one branch of one repository; a deleted branch, whose new commit is all zeros, is none."""
    where, kind = ("repository.full_name", "X-GitHub-Event")
    if values.forge.kind == "gitlab":
        where, kind = ("project.path_with_namespace", "object_kind")
    expected = [
        (kind, "^push$"),
        # A forge finds a repository whatever the case of its name, and speaks of it as it was first written.
        (where, f"(?i)^{re.escape(project)}$"),
        ("ref", f"^refs/heads/{re.escape(branch)}$"),
        ("before", _HEX),
        ("after", _HEX),
        ("after", "[1-9a-f]"),
    ]
    data = [{"path": f"body.{path}", "type": "string", "value": [value]} for path, value in expected]
    return {"name": name, "eventSourceName": values.namespace, "eventName": "push", "filters": {"data": data}}


def _trigger(name: str, passed: tuple[str, ...], values: Values) -> dict[str, Any]:
    """Create the workflow that is named after the two commits.

    `patch` and not `create`: for a delivery that comes again the workflow is there, and merging what it was made of
    changes nothing; `create` would fail, and be a dead letter.
    """
    short = {key: f"{{{{ .Input.body.{key} | substr 0 12 }}}}" for key in ("after", "before")}
    parameters = [_from_event(name, "metadata.name", f"{name}-{short['after']}-{short['before']}")]
    parameters += [
        _from_event(name, f"spec.arguments.parameters.{place}.value", f"{{{{ .Input.body.{key} }}}}")
        for place, key in enumerate(passed)
    ]
    workflow = _workflow(f"slipway-{name}", {"name": name}, passed, values)
    return {
        "template": {
            "name": name,
            "conditions": name,
            "k8s": {
                "operation": "patch",
                "patchStrategy": "application/merge-patch+json",
                "source": {"resource": workflow},
                "parameters": parameters,
            },
        },
        "atLeastOnce": True,
        "retryStrategy": _RETRY,
        "dlqTrigger": _dead_letter(name, short["after"], values),
    }


def _refresh(values: Values) -> dict[str, Any]:
    """Let Argo CD look for folders of new models at once.

    Its own webhook for that does not understand Gitea. Nobody is told of a failure: it looks by itself, too.
    """
    asked = {LOOK: ""}
    metadata = {"name": "slipway", "namespace": values.argocd_namespace, "annotations": asked}
    resource = {"apiVersion": _EVENTS, "kind": "ApplicationSet", "metadata": metadata}
    # Another word for each push: Argo CD would take one that says the same while it looks for the one that it removes.
    dest = "metadata.annotations." + LOOK.replace(".", r"\.")
    patch = {
        "operation": "patch",
        "patchStrategy": "application/merge-patch+json",
        "source": {"resource": resource},
        "parameters": [_from_event("promote", dest, "{{ .Input.body.after }}")],
    }
    template = {"name": REFRESH, "conditions": "promote", "k8s": patch}
    # A trigger that is no atLeastOnce is tried once, whatever its retryStrategy says.
    return {"template": template, "atLeastOnce": True, "retryStrategy": _RETRY}


def _dead_letter(name: str, commit: str, values: Values) -> dict[str, Any]:
    """A workflow that tells people. Where not even that can be created, Argo Events' counter of it is the alert."""
    workflow = _workflow("slipway-dead-letter", {"generateName": "dead-letter-"}, ("lost",), values)
    return {
        "template": {
            "name": f"{name}-dead-letter",
            "k8s": {
                "operation": "create",
                "source": {"resource": workflow},
                "parameters": [_from_event(name, "spec.arguments.parameters.0.value", f"{name} of {commit}")],
            },
        },
        "atLeastOnce": True,
        "retryStrategy": _RETRY,
    }


def _from_event(dependency: str, dest: str, template: str) -> dict[str, Any]:
    return {"src": {"dependencyName": dependency, "dataTemplate": template}, "dest": dest}


def _workflow(template: str, named: dict[str, str], passed: tuple[str, ...], values: Values) -> dict[str, Any]:
    reference = {"workflowTemplateRef": {"name": template}}
    arguments = {"arguments": {"parameters": [{"name": key, "value": ""} for key in passed]}} if passed else {}
    metadata = {**named, "namespace": values.namespace, "labels": {"app.kubernetes.io/part-of": "slipway"}}
    return {"apiVersion": _EVENTS, "kind": "Workflow", "metadata": metadata, "spec": {**reference, **arguments}}


def _pod(account: str) -> dict[str, Any]:
    return {
        "serviceAccountName": account,
        "securityContext": POD_SECURITY,
        "container": {"securityContext": CONTAINER_SECURITY, "resources": _NEEDS},
    }


def _ingress(values: Values) -> Object:
    webhook = values.webhook
    service = {"service": {"name": f"{values.namespace}-eventsource-svc", "port": {"number": PORT}}}
    rule = {
        "host": webhook.host,
        "http": {"paths": [{"path": "/push", "pathType": "Exact", "backend": service}]},
    }
    spec: dict[str, Any] = {"rules": [rule]}
    if webhook.ingress_class:
        spec["ingressClassName"] = webhook.ingress_class
    if webhook.tls_secret:
        spec["tls"] = [{"hosts": [webhook.host], "secretName": webhook.tls_secret}]
    return thing("Ingress", "networking.k8s.io/v1", "slipway-webhook", values.namespace, spec=spec)
