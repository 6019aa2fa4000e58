"""What does an operator look at? Three Grafana dashboards, built from Grafana's own types.

Each lies in a ConfigMap with the label that Grafana's sidecar looks for.
"""

from __future__ import annotations

import json
from typing import Any

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from hera_workflows.templates.monitoring import SERVERS
from hera_workflows.templates.objects import Object, thing
from hera_workflows.templates.panels import board, graph, number, table, variable
from hera_workflows.templates.values import Values

__all__ = ["boards", "config_maps"]

_VERSION = "environment, model, version"
_ENVIRONMENTS = f'label_values(up{{job="{SERVERS}"}}, environment)'
_HERE = f'job="{SERVERS}",environment=~"$environment"'
_ONE = f'{_HERE},model="$model"'
_RATE = "[$__rate_interval]"


def config_maps(values: Values) -> list[Object]:
    """A ConfigMap for each dashboard, named slipway-dashboard-UID; its one file is the dashboard's JSON."""
    labels = {"labels": values.monitoring.dashboard_labels}
    found = []
    for uid, dashboard in boards(values).items():
        data = {f"{uid}.json": json.dumps(dashboard, indent=1, sort_keys=True) + "\n"}
        name = f"slipway-dashboard-{uid.removeprefix('slipway-')}"
        found.append(thing("ConfigMap", "v1", name, values.namespace, metadata=labels, data=data))
    return found


def boards(values: Values) -> dict[str, Any]:
    """The dashboards as Grafana reads them, by uid."""
    built = (_glance(values), _model(), _way(values))
    plain = [json.loads(json.dumps(dashboard.build(), cls=JSONEncoder)) for dashboard in built]
    return {dashboard["uid"]: dashboard for dashboard in plain}


def _glance(values: Values) -> Dashboard:
    """Which versions are served, and how are they?"""
    ready = f"count by ({_VERSION}) (nv_inference_request_success{{{_HERE}}})"
    limit = values.monitoring.error_ratio
    columns = (
        ("servers", "short", ready),
        ("requests/s", "reqps", f"sum by ({_VERSION}) (rate(nv_inference_request_success{{{_HERE}}}[5m]))"),
        ("failing", "percentunit", _failing(_HERE, "[5m]")),
        ("p95", "µs", _p95(_HERE)),
    )
    return (
        board("slipway-glance", "slipway: models at a glance")
        .with_variable(variable("environment", _ENVIRONMENTS).multi(True).include_all(True))
        .with_panel(number("Models", f"count(count by (environment, model) (nv_inference_request_success{{{_HERE}}}))"))
        .with_panel(number("Requests per second", f"sum(rate(nv_inference_request_success{{{_HERE}}}[5m]))", "reqps"))
        .with_panel(number("Worst share that fails", f"max({_failing(_HERE, '[5m]')})", "percentunit", limit))
        .with_panel(number("Servers without a model", _unloaded(), above=1))
        .with_panel(table("What is served", *columns))
        .with_panel(graph("Requests per second", "reqps", (_asked(_HERE), "{{environment}} {{model}}@{{version}}")))
        .with_panel(graph("Failing", "percentunit", (_failing(_HERE, _RATE), "{{environment}} {{model}}@{{version}}")))
        .with_panel(graph("95th percentile", "µs", (_p95(_HERE), "{{environment}} {{model}}@{{version}}")))
        .with_panel(graph("Servers that have it loaded", "short", (ready, "{{environment}} {{model}}@{{version}}")))
    )


def _model() -> Dashboard:
    """What does one model do, version by version?"""
    versions = "{{environment}} @{{version}}"
    execution = "sum by (environment, version) (rate(nv_inference_{0}_duration_us{{{1}}}{2})) / " + (
        "sum by (environment, version) (rate(nv_inference_request_success{{{1}}}{2}))"
    )
    return (
        board("slipway-model", "slipway: one model")
        .with_variable(variable("environment", _ENVIRONMENTS).multi(True).include_all(True))
        .with_variable(variable("model", f"label_values(nv_inference_request_success{{{_HERE}}}, model)"))
        .with_panel(
            graph(
                "Servers that have it loaded",
                "short",
                (f"count by (environment, version) (nv_inference_request_success{{{_ONE}}})", versions),
            )
        )
        .with_panel(graph("Requests per second", "reqps", (_asked(_ONE), versions)))
        .with_panel(
            graph(
                "Failures by reason",
                "reqps",
                (
                    f"sum by (environment, version, reason) (rate(nv_inference_request_failure{{{_ONE}}}{_RATE}) or "
                    f"rate(slipway_request_error{{{_ONE}}}{_RATE}))",
                    versions + " {{reason}}",
                ),
            )
        )
        .with_panel(
            graph(
                "Latency of the slowest server",
                "µs",
                (
                    f"max by (environment, version, quantile) (nv_inference_request_summary_us{{{_ONE}}} >= 0)",
                    versions + " {{quantile}}",
                ),
            )
        )
        .with_panel(
            graph(
                "Where a request's time goes",
                "µs",
                (execution.format("queue", _ONE, _RATE), versions + " in the queue"),
                (execution.format("compute_infer", _ONE, _RATE), versions + " in the model"),
            )
        )
        .with_panel(
            graph(
                "Inferences per execution (batching)",
                "short",
                (
                    f"sum by (environment, version) (rate(nv_inference_count{{{_ONE}}}{_RATE})) / "
                    f"sum by (environment, version) (rate(nv_inference_exec_count{{{_ONE}}}{_RATE}))",
                    versions,
                ),
            )
        )
    )


def _way(values: Values) -> Dashboard:
    """Does what is pushed arrive? Events, workflows, delivery."""
    ours = f'namespace="{values.namespace}"'
    runs = "argo_workflows_workflowtemplate_triggered_total"
    apps = 'argocd_app_info{project="slipway"}'
    return (
        board("slipway-way", "slipway: from push to server")
        .with_panel(number("Workflows now running", 'max(argo_workflows_gauge{phase="Running"})'))
        .with_panel(
            number(
                "Promoter runs within an hour",
                f'sum(increase({runs}{{{ours},name="slipway-promote",phase="Succeeded"}}[1h]))',
            )
        )
        .with_panel(number("Not as git says", f'count({apps[:-1]},sync_status!="Synced"}}) or vector(0)', above=1))
        .with_panel(number("Not healthy", f'count({apps[:-1]},health_status!="Healthy"}}) or vector(0)', above=1))
        .with_panel(
            graph(
                "Deliveries of the forge",
                "short",
                (f"sum by (event_name) (increase(argo_events_events_sent_total{{{ours}}}{_RATE}))", "{{event_name}}"),
                (
                    f"sum by (event_name) (increase(argo_events_events_processing_failed_total{{{ours}}}{_RATE}))",
                    "{{event_name}} lost",
                ),
            )
        )
        .with_panel(
            graph(
                "What they started",
                "short",
                (
                    f"sum by (trigger_name) (increase(argo_events_action_triggered_total{{{ours}}}{_RATE}))",
                    "{{trigger_name}}",
                ),
                (
                    f"sum by (trigger_name) (increase(argo_events_action_retries_failed_total{{{ours}}}{_RATE}))",
                    "{{trigger_name}} gave up",
                ),
            )
        )
        .with_panel(
            graph(
                "Workflows that ended",
                "short",
                (
                    f'sum by (name, phase) (increase({runs}{{{ours},phase=~"Succeeded|Failed|Error"}}{_RATE}))',
                    "{{name}} {{phase}}",
                ),
            )
        )
        .with_panel(
            graph(
                "How long they took (median)",
                "s",
                (
                    "histogram_quantile(0.5, sum by (name, le) "
                    f"(rate(argo_workflows_workflowtemplate_runtime_bucket{{{ours}}}[1h])))",
                    "{{name}}",
                ),
            )
        )
        .with_panel(graph("Pods of workflows", "short", ("max by (phase) (argo_workflows_pods_gauge)", "{{phase}}")))
        .with_panel(
            graph(
                "Applications by state",
                "short",
                (f"count by (sync_status, health_status) ({apps})", "{{sync_status}} {{health_status}}"),
            )
        )
        .with_panel(
            graph(
                "Syncs",
                "short",
                (
                    f'sum by (name, phase) (increase(argocd_app_sync_total{{project="slipway"}}{_RATE}))',
                    "{{name}} {{phase}}",
                ),
            )
        )
    )


def _asked(labels: str) -> str:
    return (
        f"sum by ({_VERSION}) (rate(nv_inference_request_success{{{labels}}}{_RATE}) or "
        f"rate(nv_inference_request_failure{{{labels}}}{_RATE}))"
    )


def _failing(labels: str, over: str) -> str:
    """The share of requests that fail, in [0, 1]; errors that our model answers are successes to Triton."""
    failed = f"rate(nv_inference_request_failure{{{labels}}}{over})"
    asked = f"rate(nv_inference_request_success{{{labels}}}{over}) or {failed}"
    failed = f"{failed} or rate(slipway_request_error{{{labels}}}{over})"
    return f"sum by ({_VERSION}) ({failed}) / (sum by ({_VERSION}) ({asked}) > 0)"


def _p95(labels: str) -> str:
    return f'max by ({_VERSION}) (nv_inference_request_summary_us{{{labels},quantile="0.95"}} >= 0)'


def _unloaded() -> str:
    return f"count(up{{{_HERE}}} unless on (instance) nv_inference_request_success{{{_HERE}}}) or vector(0)"
