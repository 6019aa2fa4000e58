"""Who looks at workflows without any right to change them, and what are they shown?"""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.cluster.browser import HEIGHT, WIDTH, logged_in, picture

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.kube import Kube

__all__ = ["NAME", "Person", "let_look", "token"]

NAME = "viewer"
_NAMESPACE = "slipway"


def let_look(kube: Kube) -> None:
    """Make the account, bound to the Role slipway-viewer as docs/install.md says, and to no other."""
    metadata, group = {"name": NAME, "namespace": _NAMESPACE}, "rbac.authorization.k8s.io"
    role = {"apiGroup": group, "kind": "Role", "name": "slipway-viewer"}
    binding = {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": metadata, "roleRef": role}
    account = {"kind": "ServiceAccount", **metadata}
    kube.apply(
        [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}, {**binding, "subjects": [account]}]
    )


def token(kube: Kube) -> str:
    """With what the account logs in at argo-server, for an hour."""
    return kube.run("create", "token", NAME, f"--namespace={_NAMESPACE}").strip()


@dataclass(frozen=True, slots=True)
class Person:
    """argo-server, asked with one token."""

    server: str
    token: str

    def get(self, path: str) -> tuple[dict[str, str], str]:
        """The answer's headers, in lower case, and its text."""
        request = urllib.request.Request(self.server + path, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return {name.lower(): value for name, value in answer.headers.items()}, answer.read().decode()

    def look(self, path: str, file: Path, width: int = WIDTH, height: int = HEIGHT) -> Path:
        """Write what the browser shows of a page, as PNG."""
        with logged_in(self.server, {"Authorization": f"Bearer {self.token}"}) as server:
            return picture(server + path, file, width, height)
