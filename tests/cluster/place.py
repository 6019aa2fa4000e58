"""Where on this machine is everything that belongs to the cluster?"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.cluster.build import Built

__all__ = ["ADDRESS", "APART", "DATA", "NODE", "PODS", "RUN", "SERVICES", "Place", "default_folder"]

ADDRESS = "192.168.211.1"  # the node, inside the cluster's network namespace only
APART = "192.168.211.2"  # forge, DNS, Prometheus, registry and NATS, which training must not reach
DATA = "192.168.211.3"  # where training may read what a model declares by URL
NODE = "slipway-node"
PODS = "10.244.0.0/24"
SERVICES = "10.96.0.0/16"
RUN = Path("/run/slipway-cluster")  # sockets (their paths must be short) and the link to the state folder

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Place:
    """The state folder, and the programs by product."""

    folder: Path
    built: dict[str, Built]

    def program(self, product: str, name: str) -> Path:
        return self.built[product].program(name)

    def path(self, *parts: str) -> Path:
        """A path in the state folder, its parent made."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, content: str | dict[str, Any], *, mode: int = 0o644) -> Path:
        """Put a file into the state folder by one rename; a value becomes JSON, which every reader of YAML takes."""
        path = self.path(name)
        text = content if isinstance(content, str) else json.dumps(content, indent=1)
        draft = path.with_name(f".{path.name}.new")
        draft.touch(mode=mode)
        draft.write_text(text)
        draft.chmod(mode)
        draft.rename(path)
        return path

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig/admin.json"


def default_folder() -> Path:
    """SLIPWAY_CLUSTER_STATE, else .cluster in the repository."""
    return Path(os.environ.get("SLIPWAY_CLUSTER_STATE") or _ROOT / ".cluster").resolve()
