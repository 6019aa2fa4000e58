"""Is a release live on a cluster: synced by Argo CD, and READY in every replica of its Deployment?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.layout import kubernetes_name
from hera_workflows.promoter.servers import Served
from slipway.version import ModelVersion

if TYPE_CHECKING:
    from gitops.history import Past

__all__ = ["Application", "Deployment", "application_name", "deployment_name", "served"]


@dataclass(frozen=True, slots=True)
class Application:
    """What Argo CD says of one folder of the environment repository; "" for what it does not say yet."""

    sync: str  # "Synced", "OutOfSync", "Unknown"
    revision: str  # the commit that `sync` compares with
    health: str  # "Healthy", "Progressing", "Degraded", …
    operation: str  # "Succeeded", "Running", "Failed", "Error", …
    message: str  # of the last operation


@dataclass(frozen=True, slots=True)
class Deployment:
    """How far a Deployment is."""

    current: bool  # the numbers below are about the Deployment as it is written now
    wanted: int  # replicas
    replicas: int  # old ones included
    updated: int
    ready: int
    release: ModelVersion | None  # in the ConfigMap that its pods are made with; None: none of ours


def application_name(environment: str, model: str) -> str:
    """The Application of `envs/ENVIRONMENT/MODEL`, as the ApplicationSet names it."""
    return f"{environment}-{kubernetes_name(model)}"


def deployment_name(model: str) -> str:
    """The Deployment of a model, and its Service, in the namespace that is named as the environment."""
    return f"triton-{kubernetes_name(model)}"


def served(
    application: Application | None, deployment: Deployment | None, environment: str, version: ModelVersion, past: Past
) -> Served:
    """Where a release stands, by what the cluster has of it; what is still to come is no failure of the version."""
    waits_for = _syncing(application, environment, version, past) or _rolling_out(deployment, version)
    return Served(
        address=f"{deployment_name(version.name)}.{environment}.svc:8001",
        live=waits_for is None,
        replicas=deployment.wanted if deployment is not None else None,
        waits_for=waits_for,
    )


def _syncing(application: Application | None, environment: str, version: ModelVersion, past: Past) -> str | None:
    if application is None:
        return f"Argo CD has no Application {application_name(environment, version.name)} yet"
    released = past.released.get((environment, version.name))
    if released is None or not past.contains(application.revision, released.commit):
        at = application.revision[:12] or "no commit"
        return f"Argo CD is at {at}, which is before the release"
    if application.operation != "Succeeded":
        told = f": {application.message}" if application.message else ""
        return f"the sync of Argo CD is {application.operation or 'not begun'}{told}"
    if application.sync != "Synced":
        return f"Argo CD says {application.sync or 'nothing'}"
    if application.health != "Healthy":
        return f"Argo CD says {application.health or 'nothing'} of its health"
    return None


def _rolling_out(deployment: Deployment | None, version: ModelVersion) -> str | None:
    if deployment is None:
        return f"there is no Deployment {deployment_name(version.name)} yet"
    if deployment.release != version:
        return f"the Deployment serves {deployment.release or 'no release'}"
    if not deployment.current:
        return "the Deployment's change is not taken up yet"
    if not deployment.wanted == deployment.replicas == deployment.updated == deployment.ready:
        return (
            f"{deployment.ready} of {deployment.wanted} replicas are ready, {deployment.updated} of them updated, "
            f"{deployment.replicas} exist"
        )
    return None
