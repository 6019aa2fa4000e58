"""Are there the volumes that steps and servers mount, and the GPUs that models may ask for?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hera_workflows.doctor.finding import Finding, missing, note, ok
from hera_workflows.doctor.installation import Installation

__all__ = ["GPU", "check", "judge_claim", "judge_gpus"]

GPU = "nvidia.com/gpu"


def check(installation: Installation) -> Iterator[Finding]:
    """A finding for each claim, and one for the GPUs of all nodes."""
    api, values = installation.api, installation.values
    claims = [(values.namespace, values.workspace_claim)]
    if values.store_is_volume:
        claims += [(name, values.store_claim) for name in (values.namespace, *values.environments)]
    nodes = list(api.items("/api/v1/nodes"))
    for namespace, name in claims:
        found = api.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}")
        yield judge_claim(f"claim {namespace}/{name}", found, len(nodes))
    yield judge_gpus([(node.get("status") or {}).get("allocatable") or {} for node in nodes])


def judge_claim(subject: str, claim: Mapping[str, Any] | None, nodes: int) -> Finding:
    """nodes: how many the cluster has; pods of several need a volume that all of them can mount."""
    if claim is None:
        return missing(subject, "does not exist", "create a PersistentVolumeClaim of that name, ReadWriteMany")
    phase, modes = (claim.get("status") or {}).get("phase"), claim["spec"].get("accessModes") or []
    if phase == "Pending" and claim["spec"].get("storageClassName") != "":
        return note(
            subject,
            "is not bound yet; a storage class may wait for the first pod",
            "if a pod that mounts it stays Pending: kubectl describe pvc says why",
        )
    if phase != "Bound":
        return missing(subject, f"is {phase}, not Bound", "kubectl describe pvc says why; is there a storage class?")
    if "ReadWriteMany" not in modes and nodes > 1:
        return missing(
            subject,
            f"is {', '.join(modes)} and the cluster has {nodes} nodes, so that pods of one run wait for each other",
            "make it ReadWriteMany, or keep the pods on one node",
        )
    return ok(subject, f"is bound, {', '.join(modes)}")


def judge_gpus(allocatable: Iterable[Mapping[str, str]]) -> Finding:
    """allocatable: of each node, the amount by resource."""
    amounts = [int(each[GPU]) for each in allocatable if each.get(GPU, "0").isdecimal() and int(each.get(GPU, "0"))]
    if amounts:
        return ok(GPU, f"{sum(amounts)} allocatable on {len(amounts)} nodes")
    return note(
        GPU,
        "no node has one to give; a model with train.gpus above 0 waits for ever",
        "install NVIDIA's device plugin on nodes that have GPUs, if models ask for them",
    )
