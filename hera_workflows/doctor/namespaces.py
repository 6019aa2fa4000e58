"""Do the namespaces exist, and do they hold every pod to Pod Security `restricted`?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hera_workflows.doctor.finding import Finding, missing, ok
from hera_workflows.doctor.installation import Installation

__all__ = ["ENFORCE", "check", "judge"]

ENFORCE = "pod-security.kubernetes.io/enforce"


def check(installation: Installation) -> Iterator[Finding]:
    """A finding for each namespace of ours."""
    for name in (installation.values.namespace, *installation.values.environments):
        found = installation.api.get(f"/api/v1/namespaces/{name}")
        yield judge(name, None if found is None else found["metadata"].get("labels") or {})


def judge(name: str, labels: Mapping[str, str] | None) -> Finding:
    """labels: of the namespace; None when it does not exist."""
    subject = f"namespace {name}"
    if labels is None:
        return missing(subject, "does not exist", "kubectl apply --server-side -k on what slipway render wrote")
    if labels.get(ENFORCE) != "restricted":
        return missing(
            subject,
            f"enforces Pod Security {labels.get(ENFORCE, 'of no level')}, not restricted",
            f"kubectl label --overwrite namespace {name} {ENFORCE}=restricted",
        )
    return ok(subject, "enforces Pod Security restricted")
