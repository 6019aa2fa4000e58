"""What do all servers of one installation have in common: their images, the way to the store, what they scale on?

These are two Kustomize components in the environment repository, slipway's own files, so that an image's digest or a
bucket is said once; people's patches go into the kustomization.yaml files around them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from slipway.errors import Misconfigured

__all__ = ["AUTOSCALING", "INSTALLATION", "Installation", "render_installation"]

INSTALLATION = "envs/base/installation"
AUTOSCALING = "envs/base/autoscaling"
_IMAGE = re.compile(r"(?P<name>[^@]+?)(:(?P<tag>[^:/@]+))?(@(?P<digest>sha256:[0-9a-f]{64}))?", re.ASCII)
_HEADER = "# Written by `slipway env init --values FILE`, and again after each change of FILE; never edited by hand.\n"


@dataclass(frozen=True, slots=True)
class Installation:
    """What `slipway env init --values` takes from the values file; the defaults are those of envs/."""

    light: str = "slipway/light:0.1.0"  # image that fetches
    triton: str = "slipway/triton:0.1.0"  # image that serves
    store: str = "/store"  # that folder of a claim, or s3://bucket/prefix
    store_claim: str = "slipway-store"  # the claim, in each environment's namespace; /store only
    store_secret: str = "slipway-store-read"  # the Secret with AWS_…, in each environment's namespace; s3:// only
    verify_secret: str = "slipway-verify"  # the Secret with signing.pub, in each environment's namespace
    prometheus: str = "http://prometheus.monitoring.svc:9090"  # which autoscaling asks


def render_installation(installation: Installation) -> dict[str, bytes]:
    """The components' files by path; raises Misconfigured for an image or a store that servers cannot have."""
    images = [_image("slipway/light", installation.light), _image("slipway/triton", installation.triton)]
    component = {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "images": images,
        "patches": [{"path": "servers.yaml"}],
    }
    return {
        f"{INSTALLATION}/kustomization.yaml": _dump(component),
        f"{INSTALLATION}/servers.yaml": _dump(_servers(installation)),
        f"{AUTOSCALING}/kustomization.yaml": _dump(_AUTOSCALING),
        f"{AUTOSCALING}/names.yaml": _dump(_NAMES),
        f"{AUTOSCALING}/scaledobject.yaml": _dump(_scaled(installation)),
    }


def _servers(installation: Installation) -> dict[str, Any]:
    """What the base's Deployment lacks: a way to the store, and the key that bundles are verified with."""
    fetch: dict[str, Any] = {"name": "fetch", "env": [{"name": "MODEL_STORE", "value": installation.store}]}
    volumes: list[dict[str, Any]] = [{"name": "keys", "secret": {"secretName": installation.verify_secret}}]
    if installation.store.startswith("s3://"):
        # A list without names is replaced as a whole.
        release = {"configMapRef": {"name": "release"}}
        fetch["envFrom"] = [release, {"secretRef": {"name": installation.store_secret}}]
    elif installation.store == "/store":
        fetch["volumeMounts"] = [{"name": "store", "mountPath": "/store", "readOnly": True}]
        claim = {"claimName": installation.store_claim, "readOnly": True}
        volumes.append({"name": "store", "persistentVolumeClaim": claim})
    else:
        raise Misconfigured(f"store: servers cannot read {installation.store}; give /store or s3://bucket/prefix")
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "triton"},
        "spec": {"template": {"spec": {"initContainers": [fetch], "volumes": volumes}}},
    }


_AUTOSCALING = {
    "apiVersion": "kustomize.config.k8s.io/v1alpha1",
    "kind": "Component",
    "resources": ["scaledobject.yaml"],
    "configurations": ["names.yaml"],
}
# Kustomize does not know KEDA's kinds: the folder's suffix belongs to the Deployment's name here too.
_NAMES = {
    "nameReference": [
        {
            "group": "apps",
            "kind": "Deployment",
            "fieldSpecs": [{"group": "keda.sh", "kind": "ScaledObject", "path": "spec/scaleTargetRef/name"}],
        }
    ]
}


def _scaled(installation: Installation) -> dict[str, Any]:
    """More replicas when requests wait; a folder that wants it names the component, and patches the numbers."""
    # Microseconds that requests waited, by the second: that is how many wait at a time. KEDA divides by the replicas.
    # Two minutes have more than one sample wherever Prometheus scrapes once a minute or more often.
    waiting = 'sum(rate(nv_inference_queue_duration_us{environment="ENVIRONMENT",model="MODEL"}[2m])) / 1e6'
    trigger = {"serverAddress": installation.prometheus, "query": waiting, "threshold": "1"}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "triton"},
        "spec": {
            "scaleTargetRef": {"name": "triton"},
            "minReplicaCount": 2,
            "maxReplicaCount": 4,
            "pollingInterval": 10,
            "triggers": [{"type": "prometheus", "metricType": "AverageValue", "metadata": trigger}],
        },
    }


def _dump(content: dict[str, Any]) -> bytes:
    import yaml

    return (_HEADER + yaml.safe_dump(content, sort_keys=False)).encode()


def _image(name: str, image: str) -> dict[str, str]:
    match = _IMAGE.fullmatch(image)
    if match is None:
        raise Misconfigured(f"images: {image[:100]!r} is no image; write NAME@sha256:DIGEST")
    found = {"name": name, "newName": match["name"]}
    if match["digest"]:
        return found | {"digest": match["digest"]}
    return found | ({"newTag": match["tag"]} if match["tag"] else {})
