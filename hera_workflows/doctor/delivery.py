"""Does Argo CD watch the environment repository, and has it an Application for each release in it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hera_workflows.doctor.finding import Finding, missing, note, ok
from hera_workflows.doctor.installation import Installation
from hera_workflows.promoter.live import application_name

__all__ = ["check", "judge_application", "judge_set"]

_ARGO = "/apis/argoproj.io/v1alpha1"


def check(installation: Installation) -> Iterator[Finding]:
    """A finding for the ApplicationSet, and one for each released model of each environment."""
    values = installation.values
    home = f"{_ARGO}/namespaces/{values.argocd_namespace}"
    yield judge_set(values.env_repo, installation.api.get(f"{home}/applicationsets/slipway"))
    there = {each["metadata"]["name"]: each for each in installation.api.items(f"{home}/applications")}
    for environment, model in sorted(installation.snapshot.releases):
        name = application_name(environment, model)
        yield judge_application(name, values.env_repo, there.get(name), values.argocd_namespace)


def judge_set(url: str, found: Mapping[str, Any] | None) -> Finding:
    """found: the ApplicationSet; None when it does not exist."""
    subject = "ApplicationSet slipway"
    if found is None:
        return missing(subject, "does not exist", "kubectl apply --server-side -k on what slipway render wrote")
    watched = {each.get("git", {}).get("repoURL") for each in found["spec"].get("generators") or []}
    if watched != {url}:
        return missing(
            subject,
            f"watches {', '.join(sorted(map(str, watched)))}, not {url}",
            "correct `env_repo` in the values, render and apply again",
        )
    failed = [
        str(each.get("message"))[:300]
        for each in (found.get("status") or {}).get("conditions") or []
        if each.get("type") == "ErrorOccurred" and each.get("status") == "True"
    ]
    if failed:
        return missing(subject, failed[0], "bring Argo CD a credential that reads the repository: docs/install.md")
    return ok(subject, f"watches {url}")


def judge_application(name: str, url: str, found: Mapping[str, Any] | None, namespace: str) -> Finding:
    """found: the Application; None when it does not exist; namespace: of Argo CD."""
    subject = f"Application {name}"
    if found is None:
        return missing(
            subject,
            "does not exist although there is a release for it",
            f"kubectl -n {namespace} describe applicationset slipway says why it was not made",
        )
    source = found["spec"].get("source", {}).get("repoURL")
    if source != url:
        return missing(subject, f"follows {source}, not {url}", "delete it; the ApplicationSet makes it anew")
    status = found.get("status") or {}
    said = [
        str(each.get("message"))[:300] for each in status.get("conditions") or [] if "Error" in str(each.get("type"))
    ]
    sync, health = status.get("sync", {}).get("status"), status.get("health", {}).get("status")
    if said:
        return missing(subject, said[0], f"argocd app get {name}")
    if (sync, health) != ("Synced", "Healthy"):
        return note(
            subject, f"is {sync or 'not compared yet'}, {health or 'of unknown health'}", f"argocd app get {name}"
        )
    return ok(subject, "is Synced and Healthy")
