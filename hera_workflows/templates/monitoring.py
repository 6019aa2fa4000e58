"""What does Prometheus scrape, and under which labels does it keep it?

PodMonitors of the Prometheus Operator, one target a pod, so that every replica counts by itself.
"""

from __future__ import annotations

from typing import Any

from hera_workflows.templates.objects import Object, thing
from hera_workflows.templates.values import Values

__all__ = ["JOBS", "SERVERS", "manifest", "monitors"]

SERVERS = "triton"  # the job that gitops.promql asks about
JOBS = ("slipway-workflows", "slipway-events", "slipway-delivery")
_OF_OURS = {"app.kubernetes.io/name": "triton", "app.kubernetes.io/managed-by": "slipway"}
_POD = "__meta_kubernetes_pod"


def manifest(kind: str, name: str, values: Values, spec: dict[str, Any]) -> Object:
    """An object of the Prometheus Operator's API, with the labels by which the operator's Prometheus picks it up."""
    labels = {"labels": values.monitoring.labels}
    return thing(kind, "monitoring.coreos.com/v1", name, values.namespace, metadata=labels, spec=spec)


def monitors(values: Values) -> list[Object]:
    """The PodMonitors: the model servers, Argo Workflows' controller, our event source and sensor, Argo CD."""
    workflows, events, delivery = JOBS
    return [
        _monitor(
            "slipway-servers",
            values,
            SERVERS,
            {"matchNames": list(values.environments)},
            {"matchLabels": _OF_OURS},
            {"port": "metrics"},
            _label("environment", "__meta_kubernetes_namespace"),
            # As the Argo CD Application is named that delivers it.
            _label("application", "__meta_kubernetes_namespace", f"{_POD}_label_app_kubernetes_io_instance"),
            _label("serves", f"{_POD}_label_app_kubernetes_io_instance"),
        ),
        _monitor(
            workflows,
            values,
            workflows,
            {"matchNames": [values.monitoring.workflows_namespace]},
            {"matchLabels": {"app": "workflow-controller"}},
            # The controller makes itself a certificate that nobody has signed.
            {"port": "metrics", "scheme": "https", "tlsConfig": {"insecureSkipVerify": True}, **_ABOUT_OTHERS},
        ),
        _monitor(
            events,
            values,
            events,
            {"matchNames": [values.namespace]},
            {"matchExpressions": [_EVENT_PODS]},
            {"port": "metrics", **_ABOUT_OTHERS},
        ),
        _monitor(
            delivery,
            values,
            delivery,
            {"matchNames": [values.argocd_namespace]},
            {"matchLabels": {"app.kubernetes.io/name": "argocd-application-controller"}},
            {"portNumber": 8082, **_ABOUT_OTHERS},
        ),
    ]


# What these call `namespace` is the one that they speak of, not their own.
_ABOUT_OTHERS = {"honorLabels": True}
_EVENT_PODS = {"key": "controller", "operator": "In", "values": ["eventsource-controller", "sensor-controller"]}


def _monitor(
    name: str,
    values: Values,
    job: str,
    namespaces: dict[str, Any],
    pods: dict[str, Any],
    port: dict[str, Any],
    *labels: dict[str, Any],
) -> Object:
    endpoint = {**port, "relabelings": [{"targetLabel": "job", "replacement": job}, *labels]}
    spec = {"namespaceSelector": namespaces, "selector": pods, "podMetricsEndpoints": [endpoint]}
    return manifest("PodMonitor", name, values, spec)


def _label(target: str, *sources: str) -> dict[str, Any]:
    return {"sourceLabels": list(sources), "separator": "-", "targetLabel": target}
