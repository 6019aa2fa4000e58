"""Where is everything in the running cluster, and with which credentials?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.cluster import argo, forge, person, registry, services
from tests.cluster.images import references
from tests.cluster.secrets import remembered

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.place import Place

__all__ = ["read", "write"]


def write(place: Place) -> dict[str, Any]:
    """Put cluster.json into the state folder, for tests and people; readable by its owner only."""
    value = {
        "kubeconfig": str(place.kubeconfig),
        "kubectl": str(place.program("kubernetes", "kubectl")),
        "forge": {
            "url": forge.URL,
            "organization": forge.ORGANIZATION,
            "users": {name: remembered(place, f"forge/{name}") for name in (forge.ADMIN, *forge.USERS)},
        },
        "webhook_secret": remembered(place, "webhook"),
        "argo_server": argo.ARGO_SERVER,
        "argo_server_token": f"kubectl --namespace=slipway create token {person.NAME}",
        "argo_cd": argo.ARGO_CD,
        "argo_cd_password": {"admin": argo.admin_password(place)},
        "prometheus": services.PROMETHEUS,
        "nats": services.NATS,
        "s3": {
            "endpoint": f"http://{services.S3}",
            "access_key": services.S3_USER,
            "secret_key": remembered(place, "s3"),
        },
        "registry": {"push": registry.URL, "host": registry.HOST},
        "images": references(place),
        "argo_workflows_schema": str(place.built["argo-workflows"].share("api/jsonschema/schema.json")),
    }
    place.write("cluster.json", value, mode=0o600)
    return value


def read(folder: Path) -> dict[str, Any]:
    """What `up` wrote last. Raises FileNotFoundError if no cluster is up."""
    value: dict[str, Any] = json.loads((folder / "cluster.json").read_text())
    return value
