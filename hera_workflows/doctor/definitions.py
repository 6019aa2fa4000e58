"""Does the cluster serve the kinds that slipway's objects are of, in versions that slipway is written for?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

from hera_workflows.doctor.finding import Finding, missing, ok, unknown
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
_RESULT = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/workflowtaskresults.argoproj.io"
# Even the small CRDs, which version 3 installs by default, name these fields; those of a workflow they leave out.
_ARTIFACT = ("schema", "openAPIV3Schema", "properties", "outputs", "properties", "artifacts", "items", "properties")


def check(installation: Installation) -> Iterator[Finding]:
    """A finding for each product, and one for the version of Argo Workflows."""
    api = installation.api
    for product, ((version, kinds), remedy) in KINDS.items():
        yield judge(product, version, {kind: api.resource(version, kind) is not None for kind in kinds}, remedy)
    definition = api.get(_RESULT)
    if definition is not None:
        yield judge_workflows(definition)


def judge(product: str, version: str, served: Mapping[str, bool], remedy: str) -> Finding:
    """served: whether the API knows each kind."""
    absent = [kind for kind, there in served.items() if not there]
    if absent:
        return missing(product, f"the cluster serves no {', '.join(absent)} of {version}", remedy)
    return ok(product, f"{', '.join(served)} are served as {version}")


def judge_workflows(definition: Mapping[str, Any]) -> Finding:
    """definition: the CRD of WorkflowTaskResult, whose artifacts may be of a plugin since Argo Workflows 4.0."""
    subject = "Argo Workflows' version"
    served = {each["name"]: each for each in definition["spec"]["versions"] if each["served"]}
    fields = reduce(lambda found, key: found.get(key, {}), _ARTIFACT, served.get("v1alpha1", {}))
    if not fields:
        return unknown(
            subject, "its CRDs do not say", "apply the CRDs of Argo Workflows 4 (kubectl apply --server-side)"
        )
    if "plugin" not in fields:
        return missing(
            subject,
            "its WorkflowTaskResult is that of version 3",
            "upgrade Argo Workflows to 4, its CRDs too (kubectl apply --server-side)",
        )
    return ok(subject, "its WorkflowTaskResult is that of version 4")
