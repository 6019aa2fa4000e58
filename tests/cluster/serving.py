"""A model served from the Kustomize base in a namespace of its own: published, released by a commit, applied."""

from __future__ import annotations

import os
import subprocess
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gitops.bump import bump
from gitops.installation import Installation
from gitops.layout import kustomization_path
from gitops.rollback import rollback
from gitops.seed import default_folder, seed
from slipway.operation import Operation
from tests.triton_repo.triton_toys import make_candidate, make_draft
from triton_repo.bundle import publish
from triton_repo.signing import generate_keys
from triton_repo.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.version import ModelVersion
    from tests.cluster.kube import Kube

__all__ = ["Served", "serve_from"]

MODEL = "toy"
_RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
# The machine has two processors, and the whole cluster runs on them.
_SMALL = """
patches:
  - target: {kind: Deployment}
    patch: |-
      - op: replace
        path: /spec/template/spec/containers/0/resources/requests
        value: {cpu: 100m, memory: 256Mi}
      - op: replace
        path: /spec/template/spec/initContainers/0/resources/requests
        value: {cpu: 50m, memory: 128Mi}
"""


@dataclass(frozen=True)
class Served:
    """One model in one environment; `envs` is the environment repository, `store` where its versions lie."""

    kube: Kube
    namespace: str
    folder: Path
    store: str

    @property
    def envs(self) -> str:
        return str(self.folder / "environments.git")

    @property
    def deployment(self) -> str:
        return f"deployment/triton-{MODEL}"

    def publish(self, code: bytes | None = None) -> ModelVersion:
        """The next version: number n answers n times what it is given; `code` replaces model.py."""
        store = open_store(self.store)
        number = store.next_number(MODEL)
        candidate = make_candidate(self.folder / f"candidate-{number}", float(number), code=code)
        draft = make_draft(candidate, MODEL, f"op-{self.namespace}-{number}")
        return publish(store, draft, candidate, self.folder / "signing.key")

    def release(self, version: ModelVersion) -> None:
        """Commit the release, then make the cluster what the commit says."""
        operation = Operation(f"bump/{version}", "bump", self.namespace, version)
        bump(self.envs, version, operation)
        self.sync()

    def roll_back(self) -> None:
        """Commit the return to the version before, and make the cluster what that commit says."""
        rollback(
            self.envs,
            self.namespace,
            MODEL,
            now=datetime.now(UTC),
            reason="a test wants the version before",
            operation_id=f"rollback/{uuid.uuid4().hex}",
        )
        self.sync()

    def add_lines(self, text: str) -> None:
        """Commit lines of people's own at the end of kustomization.yaml, and make the cluster what that commit says."""
        tree, path = self._main(), kustomization_path(self.namespace, MODEL)
        with (tree / path).open("a") as file:
            file.write(text)
        who = ["-c", "user.name=ada", "-c", "user.email=ada@example.com"]
        for arguments in (["commit", "--quiet", "-m", "Change the servers", path], ["push", "--quiet"]):
            subprocess.run(["git", *who, "-C", str(tree), *arguments], check=True, timeout=60)
        self.sync()

    def _main(self) -> Path:
        """A checkout of the environment repository's main."""
        tree = self.folder / "tree"
        if not tree.exists():
            subprocess.run(["git", "clone", "--quiet", self.envs, str(tree)], check=True, timeout=60)
        subprocess.run(["git", "-C", str(tree), "pull", "--quiet", "--ff-only"], check=True, timeout=60)
        return tree

    def sync(self) -> None:
        """What Argo CD does with the folder."""
        tree = self._main()
        folder = tree / kustomization_path(self.namespace, MODEL)
        small = self.folder / "small"
        small.mkdir(exist_ok=True)
        resource = os.path.relpath(folder.parent, small)
        (small / "kustomization.yaml").write_text(f"resources: [{resource}]\n{_SMALL}")
        self.kube.apply(self.kube.run("kustomize", str(small)))

    def wait(self, seconds: int = 180) -> None:
        """Return when every replica is READY with what was applied last."""
        self.kube.run(
            "rollout", "status", self.deployment, "-n", self.namespace, f"--timeout={seconds}s", seconds=seconds + 10
        )

    def address(self) -> str:
        service = self.kube.get("service", f"triton-{MODEL}", "-n", self.namespace)
        assert service is not None
        return str(service["spec"]["clusterIP"])

    def refusal(self) -> str | None:
        """What a pod's fetch said when it failed; None while none has."""
        for pod in (self.kube.get("pods", "-n", self.namespace) or {}).get("items", []):
            for container in pod["status"].get("initContainerStatuses", []):
                ended = container["state"].get("terminated") or container["lastState"].get("terminated") or {}
                if ended.get("exitCode"):
                    return str(ended.get("message", ""))
        return None


def serve_from(kube: Kube, about: dict[str, Any], namespace: str, folder: Path, installation: Installation) -> Served:
    """The namespace with what an operator brings, and an environment repository whose only environment is it."""
    bucket = {
        "AWS_ENDPOINT_URL": about["s3"]["endpoint"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": about["s3"]["access_key"],
        "AWS_SECRET_ACCESS_KEY": about["s3"]["secret_key"],
    }
    os.environ.update(bucket)
    generate_keys(folder / "signing.key", folder / "signing.pub")
    labels = {"metadata": {"name": namespace, "labels": _RESTRICTED}}
    kube.apply([{"apiVersion": "v1", "kind": "Namespace", **labels}])
    kube.apply(
        [
            _secret(namespace, "slipway-verify", {"signing.pub": (folder / "signing.pub").read_text()}),
            _secret(namespace, "slipway-store-read", bucket),
        ]
    )
    served = Served(kube, namespace, folder, installation.store)
    subprocess.run(["git", "init", "-q", "--bare", "--initial-branch=main", served.envs], check=True, timeout=60)
    seeded = folder / "envs"
    subprocess.run(["cp", "-r", str(default_folder()), str(seeded)], check=True, timeout=60)
    (seeded / "environments.yaml").write_text(f"environments: [{{name: {namespace}, accepts: direct}}]\n")
    seed(served.envs, seeded, installation)
    return served


def _secret(namespace: str, name: str, content: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": content}
