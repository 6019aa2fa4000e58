"""Are Argo Workflows, Events and CD installed, and Prometheus's CRDs, from their own modules' manifests?"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

from slipway.errors import TryAgain
from tests.cluster.images import reference
from tests.cluster.kube import Kube
from tests.cluster.place import ADDRESS
from tests.cluster.secrets import remembered
from tests.cluster.services import S3

if TYPE_CHECKING:
    from tests.cluster.place import Place

__all__ = ["ARGO_CD", "ARGO_SERVER", "apply", "wait_available"]

ARGO_SERVER = f"http://{ADDRESS}:32746"
ARGO_CD = f"http://{ADDRESS}:32080"

_ARTIFACTS = f"""\
archiveLogs: true
s3:
  endpoint: {S3}
  bucket: artifacts
  insecure: true
  keyFormat: "{{{{workflow.namespace}}}}/{{{{workflow.name}}}}/{{{{pod.name}}}}"
  accessKeySecret: {{name: artifacts, key: accessKey}}
  secretKeySecret: {{name: artifacts, key: secretKey}}
"""
# Where the modules have their CRDs; those of Argo Events come with its install manifest.
_DEFINITIONS = {
    "prometheus-operator": "example/prometheus-operator-crd",
    "argo-workflows": "manifests/base/crds/full",
    "argo-cd": "manifests/crds",
}
# Namespace: what must be running in it.
_WORKLOADS = {
    "argo": ("deployment/workflow-controller", "deployment/argo-server"),
    "argo-events": ("deployment/controller-manager",),
    "argocd": (
        "deployment/argocd-redis",
        "deployment/argocd-repo-server",
        "deployment/argocd-server",
        "deployment/argocd-applicationset-controller",
        "statefulset/argocd-application-controller",
    ),
}


def apply(place: Place) -> None:
    """Install or update them; what they start is not awaited. Raises TryAgain."""
    kube = Kube(place)
    kube.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in _WORKLOADS])
    for product, path in _DEFINITIONS.items():
        _define(place, product, path)
    for name, settings in (("workflows", _workflows(place)), ("events", _events(place)), ("cd", _cd(place))):
        folder = place.write(f"manifests/{name}/kustomization.yaml", settings).parent
        command = [str(place.program("kustomize", "kustomize")), "build", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise TryAgain(f"kustomize build {folder} failed: {done.stderr[-800:]}")
        kube.apply(done.stdout)


def _define(place: Place, product: str, path: str) -> None:
    """Apply a product's CRDs, once: Argo's weigh 11 MB, which cost the API server many seconds each time."""
    files = sorted(place.built[product].share(path).glob("*.yaml"))
    text = "\n---\n".join(file.read_text() for file in files if file.name != "kustomization.yaml")
    digest = hashlib.sha256(text.encode()).hexdigest()
    applied = place.path("manifests", f"{product}.applied")  # goes with etcd's data, which is in the same folder
    if not applied.is_file() or applied.read_text() != digest:
        Kube(place).apply(text)
        place.write(f"manifests/{product}.applied", digest)


def wait_available(place: Place, seconds: int = 180) -> None:
    """Return when every controller is rolled out and Argo CD has its default project. Raises TryAgain."""
    for namespace, workloads in _WORKLOADS.items():
        for workload in workloads:
            words = ["rollout", "status", f"--namespace={namespace}", workload, f"--timeout={seconds}s"]
            Kube(place).run(*words, seconds=seconds + 10)
    # Last, because the API server needs seconds after a CRD is there until it serves the kind.
    project = {"sourceRepos": ["*"], "destinations": [{"namespace": "*", "server": "*"}]}
    Kube(place).apply(
        [_object("AppProject", "default", "argocd", spec={**project, "clusterResourceWhitelist": [_ANY]})]
    )


def _workflows(place: Place) -> dict[str, Any]:
    image = reference(place, "argo-workflows")
    controller = {
        "args": ["--executor-image", image, "--executor-image-pull-policy", "IfNotPresent"],
        "env": [{"name": "LEADER_ELECTION_DISABLE", "value": "true"}, {"name": "DEFAULT_REQUEUE_TIME", "value": "1s"}],
    }
    server = {
        "command": ["argo"],
        "args": ["server", "--auth-mode=client", "--secure=false"],
        "readinessProbe": {"httpGet": {"scheme": "HTTP"}, "initialDelaySeconds": 1, "periodSeconds": 2},
    }
    return {
        "namespace": "argo",
        "resources": [_relative(place, "argo-workflows", "manifests/cluster-install-no-crds")],
        "images": [_image(f"quay.io/argoproj/{name}", image) for name in ("workflow-controller", "argocli")],
        "patches": [
            _container("Deployment", "workflow-controller", "workflow-controller", controller),
            _container("Deployment", "argo-server", "argo-server", server),
            _patch(
                _object(
                    "ConfigMap",
                    "workflow-controller-configmap",
                    data={
                        "artifactRepository": _ARTIFACTS,
                        "executor": "resources: {requests: {cpu: 10m, memory: 32Mi}}\n",
                    },
                )
            ),
            _node_port("argo-server", 32746),
        ],
    }


def _events(place: Place) -> dict[str, Any]:
    image = reference(place, "argo-events")
    settings = {"env": [{"name": "ARGO_EVENTS_IMAGE", "value": image}]}
    return {
        "namespace": "argo-events",
        "resources": [_relative(place, "argo-events", "manifests/cluster-install")],
        "images": [_image("quay.io/argoproj/argo-events", image)],
        "patches": [_container("Deployment", "controller-manager", "controller-manager", settings)],
    }


def _cd(place: Place) -> dict[str, Any]:
    image = reference(place, "argo-cd")
    parts = ("config", "redis", "repo-server", "server", "application-controller", "applicationset-controller")
    quick = {"readinessProbe": {"initialDelaySeconds": 1, "periodSeconds": 2}}
    return {
        "namespace": "argocd",
        "resources": [
            _relative(place, "argo-cd", "manifests/cluster-rbac"),
            *(_relative(place, "argo-cd", f"manifests/base/{part}") for part in parts),
        ],
        "images": [_image(name, image) for name in ("quay.io/argoproj/argocd", "public.ecr.aws/docker/library/redis")],
        "patches": [
            _container("Deployment", "argocd-redis", "redis", {"command": ["/usr/bin/redis-server"]}),
            _container("Deployment", "argocd-repo-server", "argocd-repo-server", quick),
            _container("Deployment", "argocd-server", "argocd-server", quick),
            _container("StatefulSet", "argocd-application-controller", "argocd-application-controller", quick),
            _patch(_object("ConfigMap", "argocd-cmd-params-cm", data={"server.insecure": "true"})),
            _patch(
                _object("Secret", "argocd-secret", stringData={"webhook.gogs.secret": remembered(place, "webhook")})
            ),
            _node_port("argocd-server", 32080),
        ],
    }


_ANY = {"group": "*", "kind": "*"}
_GROUPS = {"AppProject": "argoproj.io/v1alpha1", "Deployment": "apps/v1", "StatefulSet": "apps/v1"}


def _object(kind: str, name: str, namespace: str = "", **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": _GROUPS.get(kind, "v1"), "kind": kind, "metadata": metadata, **fields}


def _container(kind: str, name: str, container: str, fields: dict[str, Any]) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": container, **fields}]}}
    return _patch(_object(kind, name, spec={"template": template}))


def _node_port(service: str, number: int) -> dict[str, Any]:
    """By position: a merge finds a port only by all of its key, and drops the number without a word."""
    steps = [
        {"op": "add", "path": "/spec/type", "value": "NodePort"},
        {"op": "add", "path": "/spec/ports/0/nodePort", "value": number},
    ]
    return {"target": {"kind": "Service", "name": service}, "patch": json.dumps(steps)}


def _patch(value: dict[str, Any]) -> dict[str, Any]:
    return {"patch": json.dumps(value)}


def _image(name: str, reference: str) -> dict[str, str]:
    new, digest = reference.split("@")
    return {"name": name, "newName": new, "digest": digest}


def _relative(place: Place, product: str, path: str) -> str:
    """A path that kustomize takes: relative to the kustomization."""
    return os.path.relpath(place.built[product].share(path), place.folder / "manifests/any")
