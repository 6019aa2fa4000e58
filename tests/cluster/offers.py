"""What does the node offer to pods besides processors and memory: volumes, and GPUs that are only counted."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from tests.cluster.kube import Kube
from tests.cluster.place import NODE

if TYPE_CHECKING:
    from tests.cluster.place import Place

__all__ = ["offer"]

_VOLUMES = 8
_CLASS = "local"
_GPUS = "2"


def offer(place: Place) -> None:
    """Make the storage class, its volumes and the GPUs; volumes whose claim is gone become empty and free again."""
    kube = Kube(place)
    storage = {"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "Immediate"}
    default = {"name": _CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    things: list[dict[str, Any]] = [
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": default, **storage}
    ]
    found = {item["metadata"]["name"]: item["status"]["phase"] for item in (kube.get("pv") or {}).get("items", [])}
    for number in range(_VOLUMES):
        name = f"local-{number}"
        path = place.path("volumes", name)
        if found.get(name) in {"Released", "Failed"}:
            kube.run("delete", "pv", name)
            shutil.rmtree(path, ignore_errors=True)
        path.mkdir(exist_ok=True)
        path.chmod(0o777)  # pods run as users of their own
        things.append(_volume(name, str(path)))
    kube.apply(things)
    # Kubelet keeps a resource that it does not know, but sets it to zero when it registers the node again.
    capacity = json.dumps({"status": {"capacity": {"nvidia.com/gpu": _GPUS}}})
    kube.run("patch", "node", NODE, "--subresource=status", "--type=merge", f"--patch={capacity}")


def _volume(name: str, path: str) -> dict[str, Any]:
    here = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]}
    spec = {
        "storageClassName": _CLASS,
        "capacity": {"storage": "20Gi"},
        "accessModes": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"],
        "persistentVolumeReclaimPolicy": "Retain",
        "local": {"path": path},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [here]}},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
