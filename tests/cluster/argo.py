"""Are Argo Workflows, Events and CD installed, and Prometheus's CRDs, from their own modules' manifests?"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

from tests.cluster import kustomize
from tests.cluster.images import reference
from tests.cluster.kube import Kube
from tests.cluster.place import ADDRESS
from tests.cluster.secrets import remembered
from tests.cluster.services import S3

if TYPE_CHECKING:
    from tests.cluster.place import Place

__all__ = ["ARGO_CD", "ARGO_SERVER", "admin_password", "apply", "wait_available"]

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
# Argo's own containers in a pod: without a security context namespaces that are restricted refuse them.
_EXECUTOR = {
    "name": "executor",
    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}
# Of docs/install.md.
_POLL = {"timeout.reconciliation": "60s", "timeout.reconciliation.jitter": "0s"}
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
        kube.apply(kustomize.build(place, name, settings))


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
        [kustomize.thing("AppProject", "default", "argocd", spec={**project, "clusterResourceWhitelist": [_ANY]})]
    )


def admin_password(place: Place) -> str:
    """What Argo CD made up for its first account when it started."""
    secret = Kube(place).get("secret", "argocd-initial-admin-secret", "--namespace=argocd")
    return base64.b64decode(secret["data"]["password"]).decode() if secret else ""


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
        "resources": [kustomize.relative(place, "argo-workflows", "manifests/cluster-install-no-crds")],
        "images": [kustomize.image(f"quay.io/argoproj/{name}", image) for name in ("workflow-controller", "argocli")],
        "patches": [
            kustomize.container("Deployment", "workflow-controller", "workflow-controller", controller),
            kustomize.container("Deployment", "argo-server", "argo-server", server),
            kustomize.patch(
                kustomize.thing(
                    "ConfigMap",
                    "workflow-controller-configmap",
                    data={
                        "artifactRepository": _ARTIFACTS,
                        "executor": json.dumps(_EXECUTOR),
                    },
                )
            ),
            kustomize.node_port("argo-server", 32746),
        ],
    }


def _events(place: Place) -> dict[str, Any]:
    image = reference(place, "argo-events")
    settings = {"env": [{"name": "ARGO_EVENTS_IMAGE", "value": image}]}
    return {
        "namespace": "argo-events",
        "resources": [kustomize.relative(place, "argo-events", "manifests/cluster-install")],
        "images": [kustomize.image("quay.io/argoproj/argo-events", image)],
        "patches": [kustomize.container("Deployment", "controller-manager", "controller-manager", settings)],
    }


def _cd(place: Place) -> dict[str, Any]:
    image = reference(place, "argo-cd")
    parts = ("config", "redis", "repo-server", "server", "application-controller", "applicationset-controller")
    quick = {"readinessProbe": {"initialDelaySeconds": 1, "periodSeconds": 2}}
    return {
        "namespace": "argocd",
        "resources": [
            kustomize.relative(place, "argo-cd", "manifests/cluster-rbac"),
            *(kustomize.relative(place, "argo-cd", f"manifests/base/{part}") for part in parts),
        ],
        "images": [
            kustomize.image(name, image) for name in ("quay.io/argoproj/argocd", "public.ecr.aws/docker/library/redis")
        ],
        "patches": [
            kustomize.container("Deployment", "argocd-redis", "redis", {"command": ["/usr/bin/redis-server"]}),
            kustomize.container("Deployment", "argocd-repo-server", "argocd-repo-server", quick),
            kustomize.container("Deployment", "argocd-server", "argocd-server", quick),
            kustomize.container("StatefulSet", "argocd-application-controller", "argocd-application-controller", quick),
            kustomize.patch(kustomize.thing("ConfigMap", "argocd-cmd-params-cm", data={"server.insecure": "true"})),
            kustomize.patch(kustomize.thing("ConfigMap", "argocd-cm", data=_POLL)),
            kustomize.patch(
                kustomize.thing(
                    "Secret", "argocd-secret", stringData={"webhook.gogs.secret": remembered(place, "webhook")}
                )
            ),
            kustomize.node_port("argocd-server", 32080),
        ],
    }


_ANY = {"group": "*", "kind": "*"}
