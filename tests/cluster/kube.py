"""What does the cluster's API server say? A thin wrapper over kubectl."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.errors import TryAgain

if TYPE_CHECKING:
    from tests.cluster.place import Place

__all__ = ["Kube"]


@dataclass(frozen=True, slots=True)
class Kube:
    """kubectl as the administrator; the caller is inside the cluster's network."""

    place: Place

    def run(self, *arguments: str, text: str | None = None, seconds: float = 60) -> str:
        """What kubectl prints. Raises TryAgain with what it complained about."""
        done = self._call(arguments, text, seconds)
        if done.returncode:
            raise TryAgain(f"kubectl {' '.join(arguments)} failed: {done.stderr.strip()[-1500:]}")
        return done.stdout

    def apply(self, manifests: str | list[dict[str, Any]]) -> None:
        """Server-side apply; the same manifests twice change nothing.

        kubectl's own validation is off: it reads the OpenAPI of every CRD, which costs the API server half a minute.
        """
        if not isinstance(manifests, str):
            manifests = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        arguments = ["apply", "--server-side", "--force-conflicts", "--validate=ignore"]
        self.run(*arguments, "-f", "-", text=manifests, seconds=120)

    def get(self, *arguments: str) -> dict[str, Any] | None:
        """One object or list; None if it does not exist."""
        done = self._call(["get", *arguments, "--ignore-not-found", "-o", "json"], None, 30)
        if done.returncode:
            raise TryAgain(f"kubectl get {' '.join(arguments)} failed: {done.stderr.strip()[-800:]}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def ready(self) -> bool:
        return self._call(["get", "--raw=/readyz"], None, 10).returncode == 0

    def _call(self, arguments: Any, text: str | None, seconds: float) -> subprocess.CompletedProcess[str]:
        command = [
            str(self.place.program("kubernetes", "kubectl")),
            f"--kubeconfig={self.place.kubeconfig}",
            f"--cache-dir={self.place.folder}/kubectl-cache",
            *arguments,
        ]
        try:
            return subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=seconds)
        except subprocess.TimeoutExpired as late:
            raise TryAgain(f"kubectl {arguments[0]} gave no answer in {seconds:.0f} s") from late
