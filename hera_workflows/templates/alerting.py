"""What is a person told, when, and what should they do then?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from gitops.promql import selector, since
from hera_workflows.templates.events import REFRESH
from hera_workflows.templates.monitoring import JOBS, SERVERS, manifest
from hera_workflows.templates.objects import Object
from hera_workflows.templates.values import Monitoring, Values

__all__ = ["Alert", "alerts", "rules"]

_VERSION = "environment, model, version"
_QUARTER = timedelta(minutes=15)
_TEN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `critical` wakes somebody: what is served is at risk. `warning` waits for working hours."""

    name: str
    group: str
    expr: str  # PromQL; each series that it returns is one alert
    lasting: str  # how long it must hold, a Prometheus duration
    severity: Literal["critical", "warning"]
    summary: str
    runbook: str  # what to look at and to do, in the order in which it helps


def rules(values: Values) -> Object:
    """The PrometheusRule with every alert, in the groups serving, way and delivery."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for alert in alerts(values):
        groups.setdefault(f"slipway-{alert.group}", []).append(
            {
                "alert": alert.name,
                "expr": alert.expr,
                "for": alert.lasting,
                "labels": {"severity": alert.severity, "service": "slipway"},
                "annotations": {"summary": alert.summary, "runbook": alert.runbook},
            }
        )
    spec = {"groups": [{"name": name, "rules": found} for name, found in groups.items()]}
    return manifest("PrometheusRule", "slipway", values, spec)


def alerts(values: Values) -> list[Alert]:
    """Every alert; nothing in them needs more exporters than Argo's and Triton's own, and the kubelet."""
    return [*_serving(values.monitoring), *_way(values), *_delivery(values)]


def _serving(limits: Monitoring) -> list[Alert]:
    job = {"job": SERVERS}
    success = selector("nv_inference_request_success", job)
    # A client that hangs up is not the model's failure.
    failure = selector("nv_inference_request_failure", job).removesuffix("}") + ',reason!="CANCELED"}'
    answered = selector("slipway_request_error", job)
    failed = f"sum by ({_VERSION}) ({since(failure, _TEN)} or {since(answered, _TEN)})"
    asked = f"sum by ({_VERSION}) ({since(success, _TEN)} or {since(failure, _TEN)})"
    latency = selector("nv_inference_request_summary_us", {**job, "quantile": "0.95"})
    up = selector("up", job)
    # A folder in which only holds/ or retired/ is left has an Application, too: an empty one, Healthy and Synced.
    # One that lacks nothing but its Deployment is Healthy as well, and OutOfSync.
    app = 'argocd_app_info{project="slipway"'
    apps = f'{app},health_status!="Healthy"}} or {app},sync_status="OutOfSync"}}'
    delivered = _renamed(_renamed(apps, "name", "application"), _TO, "environment")
    return [
        Alert(
            "SlipwayModelDown",
            "serving",
            f"max by (environment, application) ({delivered}) unless on (application) {success}",
            "10m",
            "critical",
            "No server of {{ $labels.application }} has its model loaded.",
            "See the pods: kubectl -n {{ $labels.environment }} get pods -l app.kubernetes.io/managed-by=slipway. "
            "Init:Error is a bundle that does not match its release: kubectl -n {{ $labels.environment }} logs POD "
            "-c fetch. Pending lacks room or a volume. Was it released just now? Then slipway rollback takes the last "
            "good version back.",
        ),
        Alert(
            "SlipwayServerNotReady",
            "serving",
            f"max by (environment, application, pod) ({up}) unless on (environment, pod) {success}",
            "10m",
            "warning",
            "{{ $labels.pod }} in {{ $labels.environment }} serves no model.",
            "kubectl -n {{ $labels.environment }} describe pod {{ $labels.pod }} and its logs say why. "
            "Until it is READY the promoter judges nothing of {{ $labels.application }}.",
        ),
        Alert(
            "SlipwayErrorRatio",
            "serving",
            f"{failed} / ({asked} >= {limits.min_requests}) > {limits.error_ratio}",
            "2m",
            "critical",
            "{{ $labels.model }}@{{ $labels.version }} in {{ $labels.environment }} fails "
            "{{ $value | humanizePercentage }} of its requests.",
            "Look at the failures by reason on the dashboard `slipway: one model`, and at Triton's log. If it began "
            "with the release, slipway rollback {{ $labels.environment }} {{ $labels.model }}; that also holds it.",
        ),
        Alert(
            "SlipwaySlow",
            "serving",
            f"max by ({_VERSION}) ({latency} >= 0) / 1000 > {limits.p95_ms}",
            "10m",
            "warning",
            "{{ $labels.model }}@{{ $labels.version }} in {{ $labels.environment }} takes "
            "{{ $value | humanize }} ms at the 95th percentile.",
            "On the dashboard `slipway: one model`: when time in the queue has grown, it lacks replicas; when time in "
            "the model has, compare with the version before, and roll back if that was faster.",
        ),
    ]


def _way(values: Values) -> list[Alert]:
    ours = {"namespace": values.namespace}
    runs = "argo_workflows_workflowtemplate_triggered_total"
    # Argo CD looks for new models by itself, too: what was not refreshed comes later, and is not lost.
    given_up = selector("argo_events_action_retries_failed_total", ours).removesuffix("}")
    dead = since(given_up + f',trigger_name!="{REFRESH}"}}', _QUARTER)
    lost = since(selector("argo_events_events_processing_failed_total", ours), _QUARTER)
    failed = since(selector(runs, ours).removesuffix("}") + ',phase=~"Failed|Error"}', _QUARTER)
    minutes = values.monitoring.promoter_minutes
    judged = since(
        selector(runs, {**ours, "name": "slipway-promote", "phase": "Succeeded"}), timedelta(minutes=minutes)
    )
    blind = " or ".join(
        [f'absent(up{{job="{job}"}})' for job in JOBS] + [f'max by (job) (up{{job=~"{"|".join(JOBS)}"}}) == 0']
    )
    return [
        Alert(
            "SlipwayEventLost",
            "way",
            f"sum by (sensor_name, trigger_name) ({dead}) > 0",
            "0m",
            "critical",
            "A push started nothing: trigger {{ $labels.trigger_name }} of the sensor gave up.",
            f"kubectl -n {values.namespace} logs -l controller=sensor-controller says why. Once that is mended, let "
            "the forge send the delivery again, or push once more: what began already is not begun twice.",
        ),
        Alert(
            "SlipwayEventNotAccepted",
            "way",
            f"sum by (eventsource_name, event_name) ({lost}) > 0",
            "0m",
            "warning",
            "A delivery of the forge was accepted and not processed ({{ $labels.event_name }}).",
            f"kubectl -n {values.namespace} logs -l controller=eventsource-controller; is the event bus up? "
            "Then let the forge send the delivery again.",
        ),
        Alert(
            "SlipwayEventsStopped",
            "way",
            f"max by (eventsource_name) ({selector('argo_events_event_service_running_total', ours)}) < 1",
            "5m",
            "critical",
            "Event source {{ $labels.eventsource_name }} takes no deliveries, so that pushes start nothing.",
            f"kubectl -n {values.namespace} describe eventsource {{{{ $labels.eventsource_name }}}}; slipway doctor.",
        ),
        Alert(
            "SlipwayWorkflowFailed",
            "way",
            f"sum by (name, phase) ({failed}) > 0",
            "0m",
            "warning",
            "A workflow of {{ $labels.name }} ended as {{ $labels.phase }}.",
            f"argo -n {values.namespace} list --status Failed,Error; its report-outcome step says in one line why. A "
            "model that was judged and refused ends so, too, and is its author's; anything else is ours.",
        ),
        Alert(
            "SlipwayPromoterSilent",
            "way",
            f"(sum({judged}) or vector(0)) < 1",
            "10m",
            "critical",
            f"No run of the promoter has succeeded for {minutes} minutes: what its log names, it neither promotes nor "
            "rolls back.",
            f"argo -n {values.namespace} list | grep slipway-promote; then the log of the newest. A release that "
            "cannot be read stops no other; Prometheus, the environment repository or the cluster stop all. Suspended? "
            f"kubectl -n {values.namespace} get cronworkflow slipway-promote. slipway doctor names what is missing.",
        ),
        Alert(
            "SlipwayBlind",
            "way",
            blind,
            "10m",
            "critical",
            "{{ $labels.job }} is not scraped, so that nothing can be said of it.",
            "Does the program run, and does a NetworkPolicy let Prometheus reach its metrics port? slipway doctor.",
        ),
    ]


def _delivery(values: Values) -> list[Alert]:
    app = 'argocd_app_info{project="slipway"'
    claims = "|".join([values.workspace_claim] + ([values.store_claim] if values.store_is_volume else []))
    volume = f'{{namespace="{values.namespace}",persistentvolumeclaim=~"{claims}"}}'
    return [
        Alert(
            "SlipwayOutOfSync",
            "delivery",
            f'max by (name, sync_status) ({app},sync_status!="Synced"}})',
            "15m",
            "warning",
            "Argo CD has not brought {{ $labels.name }} to what git says: {{ $labels.sync_status }}.",
            "argocd app get {{ $labels.name }}. Unknown: it cannot read the environment repository, or kustomize fails "
            "on somebody's patch. Until then every release and every rollback of this model waits.",
        ),
        Alert(
            "SlipwayDegraded",
            "delivery",
            f'max by (name, health_status) ({app},health_status=~"Degraded|Missing|Unknown"}})',
            "5m",
            "critical",
            "{{ $labels.name }} is {{ $labels.health_status }}.",
            "argocd app get {{ $labels.name }} names the object; the pods that served before go on serving as long as "
            "a new version does not become READY. slipway rollback takes the last good version back.",
        ),
        Alert(
            "SlipwayReleaseStuck",
            "delivery",
            f'max by (name) ({app},health_status="Progressing"}})',
            "30m",
            "warning",
            "The release of {{ $labels.name }} has not finished for half an hour.",
            "Pods that stay Pending lack room or a volume; pods in Init cannot fetch the version.",
        ),
        Alert(
            "SlipwayVolumeNearlyFull",
            "delivery",
            f"min by (persistentvolumeclaim) (kubelet_volume_stats_available_bytes{volume} / "
            f"kubelet_volume_stats_capacity_bytes{volume}) < {values.monitoring.volume_free}",
            "15m",
            "warning",
            "{{ $labels.persistentvolumeclaim }} has {{ $value | humanizePercentage }} left.",
            f"argo -n {values.namespace} submit --from cronwf/slipway-gc removes what nothing refers to any more. "
            "Else make the volume larger.",
        ),
    ]


_TO = "dest_namespace"


def _renamed(vector: str, source: str, target: str) -> str:
    return f'label_replace({vector}, "{target}", "$1", "{source}", "(.*)")'
