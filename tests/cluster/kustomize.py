"""How is a product's own manifest changed for this cluster?"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

from slipway.errors import TryAgain

if TYPE_CHECKING:
    from tests.cluster.place import Place

__all__ = ["build", "container", "image", "node_port", "patch", "relative", "thing"]

_GROUPS = {"AppProject": "argoproj.io/v1alpha1", "Deployment": "apps/v1", "StatefulSet": "apps/v1"}


def build(place: Place, name: str, settings: dict[str, Any]) -> str:
    """What the real kustomize makes of a kustomization. Raises TryAgain."""
    folder = place.write(f"manifests/{name}/kustomization.yaml", settings).parent
    command = [str(place.program("kustomize", "kustomize")), "build", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise TryAgain(f"kustomize build {folder} failed: {done.stderr[-800:]}")
    return done.stdout


def thing(kind: str, name: str, namespace: str = "", **fields: Any) -> dict[str, Any]:
    """A Kubernetes object, or what of one a patch changes."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": _GROUPS.get(kind, "v1"), "kind": kind, "metadata": metadata, **fields}


def container(kind: str, name: str, container: str, fields: dict[str, Any], namespace: str = "") -> dict[str, Any]:
    """A patch of one container; `namespace` if the manifest itself says one."""
    template = {"spec": {"containers": [{"name": container, **fields}]}}
    return patch(thing(kind, name, namespace, spec={"template": template}))


def node_port(service: str, number: int) -> dict[str, Any]:
    """By position: a merge finds a port only by all of its key, and drops the number without a word."""
    steps = [
        {"op": "add", "path": "/spec/type", "value": "NodePort"},
        {"op": "add", "path": "/spec/ports/0/nodePort", "value": number},
    ]
    return {"target": {"kind": "Service", "name": service}, "patch": json.dumps(steps)}


def patch(value: dict[str, Any]) -> dict[str, Any]:
    return {"patch": json.dumps(value)}


def image(name: str, reference: str) -> dict[str, str]:
    new, digest = reference.split("@")
    return {"name": name, "newName": new, "digest": digest}


def relative(place: Place, product: str, path: str) -> str:
    """A path that kustomize takes: relative to the kustomization."""
    return os.path.relpath(place.built[product].share(path), place.folder / "manifests/any")
