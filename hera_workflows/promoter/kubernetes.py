"""What do Argo CD and Kubernetes have of every release? Asked by lists, so the number of models costs no call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hera_workflows.kubernetes_api import connect, path_of
from hera_workflows.promoter.live import Application, Deployment, application_name, deployment_name, served
from hera_workflows.promoter.servers import Look, Served
from slipway.errors import Rejected
from slipway.names import check_digest, check_model, check_number
from slipway.text import one_line
from slipway.version import ModelVersion

if TYPE_CHECKING:
    from gitops.history import Past

__all__ = ["Cluster"]

_NO_ARGO = "this cluster knows no Applications; install Argo CD, or see that its CRDs are there"
# Of every object that a folder's kustomization makes; a namespace's own ConfigMaps are not read.
_OURS = "app.kubernetes.io/instance"

_Object = Mapping[str, Any]


class Cluster:
    """Servers on Kubernetes, reconciled by Argo CD."""

    def __init__(self, argocd_namespace: str = "argocd") -> None:
        """Raises Misconfigured where no cluster is known."""
        self._api = connect(
            remedy="kubectl apply -k what slipway render wrote, whose Roles let slipway-release read it"
        )
        self._argocd = argocd_namespace

    def look(self, environments: Sequence[str], past: Past) -> Look:
        """See Servers.look; one list of Applications, and two lists for each environment."""
        listed = self._api.items(path_of("argoproj.io/v1alpha1", "applications", self._argocd), absent=_NO_ARGO)
        applications = {_name(each): _application(each) for each in listed}
        deployments: dict[tuple[str, str], Deployment] = {}
        for environment in environments:
            maps = self._api.items(path_of("v1", "configmaps", environment), labelSelector=_OURS)
            releases = {_name(each): _release(each) for each in maps}
            running = self._api.items(path_of("apps/v1", "deployments", environment), labelSelector=_OURS)
            deployments |= {(environment, _name(each)): _deployment(each, releases) for each in running}

        def of(environment: str, version: ModelVersion) -> Served:
            application = applications.get(application_name(environment, version.name))
            deployment = deployments.get((environment, deployment_name(version.name)))
            return served(application, deployment, environment, version, past)

        return of


def _name(it: _Object) -> str:
    return str(it["metadata"]["name"])


def _application(it: _Object) -> Application:
    status = _part(it, "status")
    sync, operation = _part(status, "sync"), _part(status, "operationState")
    return Application(
        sync=_text(sync, "status"),
        revision=_text(sync, "revision"),
        health=_text(_part(status, "health"), "status"),
        operation=_text(operation, "phase"),
        message=_text(operation, "message"),
    )


def _deployment(it: _Object, releases: Mapping[str, ModelVersion | None]) -> Deployment:
    spec, status = _part(it, "spec"), _part(it, "status")
    pods = _part(_part(spec, "template"), "spec")
    named = {
        str(_part(source, "configMapRef").get("name"))
        for container in pods.get("containers") or ()
        for source in container.get("envFrom") or ()
    }
    found = [releases[name] for name in named if releases.get(name) is not None]
    return Deployment(
        current=status.get("observedGeneration") == it["metadata"]["generation"],
        wanted=_count(spec, "replicas", 1),
        replicas=_count(status, "replicas"),
        updated=_count(status, "updatedReplicas"),
        ready=_count(status, "readyReplicas"),
        release=found[0] if len(found) == 1 else None,
    )


def _release(it: _Object) -> ModelVersion | None:
    data = _part(it, "data")
    try:
        return ModelVersion(
            check_model(_text(data, "MODEL")), check_number(_text(data, "VERSION")), check_digest(_text(data, "DIGEST"))
        )
    except Rejected:
        return None


def _part(it: _Object, name: str) -> _Object:
    part = it.get(name)
    return part if isinstance(part, Mapping) else {}


def _text(it: _Object, name: str) -> str:
    text = it.get(name)
    return one_line(text)[:200] if isinstance(text, str) else ""


def _count(it: _Object, name: str, default: int = 0) -> int:
    count = it.get(name)
    return count if isinstance(count, int) else default
