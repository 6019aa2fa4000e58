"""In which namespaces does everything lie, and what may a pod be there?"""

from __future__ import annotations

from hera_workflows.templates.objects import Object, thing
from hera_workflows.templates.values import Values

__all__ = ["namespaces"]


def namespaces(values: Values) -> dict[str, list[Object]]:
    """One namespace for the workflows and one for each environment, by file; Pod Security `restricted` in all."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    return {
        name: [thing("Namespace", "v1", name, None, metadata={"labels": labels})]
        for name in (values.namespace, *values.environments)
    }
