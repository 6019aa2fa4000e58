"""Does the cluster serve the kinds that slipway's objects are of, in versions that slipway is written for?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hera_workflows.doctor.finding import Finding, missing, ok
from hera_workflows.doctor.installation import Installation

__all__ = ["KINDS", "check", "judge", "judge_workflows"]

# Product: (API version, kinds), and where to get it.
KINDS: Mapping[str, tuple[tuple[str, tuple[str, ...]], str]] = {
    "Argo Workflows": (
        ("argoproj.io/v1alpha1", ("Workflow", "WorkflowTemplate", "CronWorkflow", "WorkflowTaskResult")),
        "install Argo Workflows 4: https://argo-workflows.readthedocs.io/en/latest/installation/",
    ),
    "Argo Events": (
        ("argoproj.io/v1alpha1", ("EventBus", "EventSource", "Sensor")),
        "install Argo Events: https://argoproj.github.io/argo-events/installation/",
    ),
    "Argo CD": (
        ("argoproj.io/v1alpha1", ("Application", "ApplicationSet", "AppProject")),
        "install Argo CD: https://argo-cd.readthedocs.io/en/stable/getting_started/",
    ),
    "Prometheus Operator": (
        ("monitoring.coreos.com/v1", ("PodMonitor", "PrometheusRule")),
        "install the Prometheus Operator, for example as kube-prometheus-stack; without it nothing is scraped",
    ),
}
_CRON = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/cronworkflows.argoproj.io"


def check(installation: Installation) -> Iterator[Finding]:
    """A finding for each product, and one for the version of Argo Workflows."""
    api = installation.api
    for product, ((version, kinds), remedy) in KINDS.items():
        yield judge(product, version, {kind: api.resource(version, kind) is not None for kind in kinds}, remedy)
    definition = api.get(_CRON)
    if definition is not None:
        versions = {each["name"]: each for each in definition["spec"]["versions"] if each["served"]}
        schema = versions.get("v1alpha1", {}).get("schema", {}).get("openAPIV3Schema", {})
        yield judge_workflows(schema.get("properties", {}).get("spec", {}).get("properties", {}))


def judge(product: str, version: str, served: Mapping[str, bool], remedy: str) -> Finding:
    """served: whether the API knows each kind."""
    absent = [kind for kind, there in served.items() if not there]
    if absent:
        return missing(product, f"the cluster serves no {', '.join(absent)} of {version}", remedy)
    return ok(product, f"{', '.join(served)} are served as {version}")


def judge_workflows(fields: Mapping[str, object]) -> Finding:
    """fields: of a CronWorkflow's spec; Argo Workflows 4 dropped `schedule`, and its small CRDs name no field."""
    if "schedule" in fields:
        return missing(
            "Argo Workflows' version",
            "its CronWorkflow is that of version 3",
            "upgrade Argo Workflows to 4, its CRDs too (kubectl apply --server-side)",
        )
    return ok("Argo Workflows' version", "its CronWorkflow is that of version 4" if fields else "its CRDs do not say")
