"""Is slipway installed in the cluster, as docs/install.md tells an operator to do it?"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from gitops.seed import default_folder
from tests.cluster import argo, buckets, forge, own_images, person, services, team
from tests.cluster.buildah import run
from tests.cluster.kube import Kube
from tests.cluster.place import ADDRESS, APART, DATA, SERVICES
from tests.cluster.programs import wait_until
from tests.cluster.secrets import remembered
from triton_repo.signing import generate_keys

if TYPE_CHECKING:
    from tests.cluster.place import Place

__all__ = ["NAMESPACE", "STORE", "render", "up", "values", "wait"]

NAMESPACE = "slipway"
ENVIRONMENTS = ("staging", "production")
STORE = f"s3://{buckets.MODELS}"


def render(place: Place) -> None:
    """Write the values file and the manifests; the registry has the images. Raises TryAgain."""
    settings = place.write("install/values.yaml", values())
    _slipway(place, "render", "--values", str(settings), "--output", str(place.path("install/deploy")))


def up(place: Place) -> None:
    """Give it environments, credentials and manifests; what these start is not awaited. Raises TryAgain."""
    kube = Kube(place)
    settings = place.path("install/values.yaml")
    _slipway(place, "env", "init", team.url(team.ENVIRONMENTS), "--from", str(_envs(place)), "--values", str(settings))
    team.protect(place)
    kube.apply([_namespace(name) for name in (NAMESPACE, *ENVIRONMENTS)])
    kube.apply([*_secrets(place), _workspace()])
    kube.run("apply", "--server-side", "-k", str(place.path("install/deploy")), seconds=120)
    person.let_look(kube)


def wait(place: Place) -> None:
    """Return when a push would start a workflow: event source and sensor listen, and the forge knows where."""
    kube = Kube(place)
    for kind in ("eventsource-name=slipway", "sensor-name=slipway"):
        where = [f"--selector={kind}", f"--namespace={NAMESPACE}"]
        kube.run("wait", "pods", *where, "--for=create", "--timeout=60s", seconds=70)
        kube.run("wait", "pods", *where, "--for=condition=Ready", "--timeout=120s", seconds=130)
    service = kube.get("service", "slipway-eventsource-svc", f"--namespace={NAMESPACE}") or {}
    events = f"http://{service['spec']['clusterIP']}:12000/push"
    wait_until(place, "the event source listens", lambda: _listens(events), 60)
    team.hooks(place, team.MODELS, events)
    team.hooks(place, team.ENVIRONMENTS, events, f"{argo.ARGO_CD}/api/webhook")


def values() -> dict[str, Any]:
    """The values file of this installation."""
    return {
        "environments": list(ENVIRONMENTS),
        "images": {target: own_images.reference(target) for target in own_images.TARGETS},
        "store": STORE,
        "source_repo": team.url(team.MODELS),
        "env_repo": team.url(team.ENVIRONMENTS),
        "forge": {
            "kind": "gitea",
            "url": forge.URL,
            "source_project": team.MODELS,
            "env_project": team.ENVIRONMENTS,
        },
        "argo_url": argo.ARGO_SERVER,
        "prometheus": services.PROMETHEUS,
        "event_bus": {
            "kind": "exotic",
            "url": f"nats://{services.NATS}",
            "replicas": 1,
            "access_secret": "slipway-bus",
        },
        "network": {
            "executor": [f"{ADDRESS}/32", SERVICES],
            "executor_ports": [443, 6443, int(services.S3.rpartition(":")[2])],
            "services": [f"{ADDRESS}/32", f"{APART}/32", SERVICES],
            "data": [f"{DATA}/32"],
        },
        "schedules": {"promote": "* * * * *", "catch_up": "*/2 * * * *"},
        # Two processors are all that the machine may have, and the cluster itself runs on them.
        "light": {"cpu": "50m"},
        "validation": {"cpu": "250m", "memory": "1Gi", "memory_limit": "6Gi", "ephemeral_storage": "2Gi"},
    }


def _envs(place: Place) -> Path:
    """The environments that slipway comes with, and what an operator of two processors patches into every server."""
    folder = place.path("install/envs")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(default_folder(), folder)
    container = {"name": "triton", "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "triton"},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
    (folder / "base/small.yaml").write_text(yaml.safe_dump(deployment))
    with (folder / "base/kustomization.yaml").open("a") as base:
        base.write("patches:\n  - path: small.yaml\n")
    return folder


def _secrets(place: Place) -> list[dict[str, Any]]:
    """What an operator brings: each namespace has what its pods need, and no more."""
    private, public = _keys(place)
    endpoint = f"http://{services.S3}"
    bucket = {"AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
    read, write = (
        {**bucket, "AWS_ACCESS_KEY_ID": account, "AWS_SECRET_ACCESS_KEY": buckets.key(place, account)}
        for account in (buckets.READER, buckets.WRITER)
    )
    here = {
        "slipway-signing": {"signing.key": private},
        "slipway-verify": {"signing.pub": public},
        "slipway-git-read": {"credentials": team.credentials(place, team.READER)},
        "slipway-git-write": {"credentials": team.credentials(place, team.WRITER)},
        "slipway-forge": {"token": team.token(place, team.SPEAKER)},
        "slipway-forge-source": {"token": team.token(place, team.SOURCE_SPEAKER)},
        "slipway-webhook": {"secret": remembered(place, "webhook")},
        "slipway-bus": {
            "password": json.dumps({"username": services.NATS_USER, "password": remembered(place, "nats")})
        },
        "slipway-store-read": read,
        "slipway-store-write": write,
        "artifacts": {"accessKey": services.S3_USER, "secretKey": remembered(place, "s3")},
    }
    there = {"slipway-verify": here["slipway-verify"], "slipway-store-read": read}
    repository = {
        "type": "git",
        "url": team.url(team.ENVIRONMENTS),
        "username": team.READER,
        "password": forge.forge_as(place, team.READER).password,
    }
    return [
        *(_secret(NAMESPACE, name, content) for name, content in here.items()),
        *(_secret(environment, name, content) for environment in ENVIRONMENTS for name, content in there.items()),
        _secret("argocd", "slipway-environments", repository, {"argocd.argoproj.io/secret-type": "repository"}),
    ]


def _secret(namespace: str, name: str, content: dict[str, str], labels: dict[str, str] | None = None) -> dict[str, Any]:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}
    metadata = {"name": name, "namespace": namespace, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def _keys(place: Place) -> tuple[str, str]:
    private, public = place.path("install/signing.key"), place.path("install/signing.pub")
    generate_keys(private, public)
    return private.read_text(), public.read_text()


def _workspace() -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "10Gi"}}}
    metadata = {"name": "slipway-workspace", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _slipway(place: Place, *arguments: str) -> None:
    """Run the command line as the operator, who may write the environments' repository."""
    file = place.write("install/credentials", team.credentials(place, team.WRITER), mode=0o600)
    os.environ["GIT_CREDENTIALS"] = str(file)
    run([str(Path(sys.prefix, "bin/slipway")), *arguments], seconds=120)


def _listens(url: str) -> bool:
    try:
        urllib.request.urlopen(urllib.request.Request(url, data=b"{}"), timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
