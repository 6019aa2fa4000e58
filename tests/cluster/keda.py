"""Is KEDA installed, from its own module's manifests? Its admission webhooks are not: nothing here needs them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.cluster import kustomize
from tests.cluster.images import reference
from tests.cluster.kube import Kube

if TYPE_CHECKING:
    from tests.cluster.place import Place

__all__ = ["apply", "wait_available"]

_METRICS = "v1beta1.external.metrics.k8s.io"
# The machine has two processors.
_SMALL = {"requests": {"cpu": "20m", "memory": "64Mi"}}
_ARGUMENTS = "/spec/template/spec/containers/0/args"
_NO_WEBHOOKS = {"op": "add", "path": f"{_ARGUMENTS}/-", "value": "--enable-webhook-patching=false"}


def apply(place: Place) -> None:
    """Install or update it; what this starts is not awaited. Raises TryAgain."""
    Kube(place).apply(kustomize.build(place, "keda", _settings(place)))


def wait_available(place: Place, seconds: int = 300) -> None:
    """Return when autoscalers get an answer; first the operator makes itself certificates. Raises TryAgain."""
    words = [f"apiservice/{_METRICS}", "--for=condition=Available", f"--timeout={seconds}s"]
    Kube(place).run("wait", *words, seconds=seconds + 10)


def _settings(place: Place) -> dict[str, Any]:
    image = reference(place, "keda")
    names = ("keda-operator", "keda-metrics-apiserver")
    return {
        "resources": [kustomize.relative(place, "keda", "config/minimal")],
        "images": [kustomize.image(f"ghcr.io/kedacore/{name}", image) for name in ("keda", "keda-metrics-apiserver")],
        "patches": [
            *(kustomize.container("Deployment", name, name, {"resources": _SMALL}, "keda") for name in names),
            {"target": {"kind": "Deployment", "name": "keda-operator"}, "patch": json.dumps([_NO_WEBHOOKS])},
        ],
    }
