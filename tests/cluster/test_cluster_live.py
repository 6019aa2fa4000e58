"""Does the promoter see on the real cluster when a release is live, and when not yet?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from gitops.history import past
from hera_workflows.promoter.kubernetes import Cluster
from hera_workflows.promoter.servers import Served
from slipway.version import ModelVersion, render_release_env
from tests.cluster.asking import commit, until

if TYPE_CHECKING:
    from tests.cluster.forge import Forge
    from tests.cluster.kube import Kube

pytestmark = pytest.mark.slow

_KUSTOMIZATION = """\
namespace: {environment}
nameSuffix: -toy
resources: [deployment.yaml]
configMapGenerator: [{{name: release, envs: [release.env]}}]
labels: [{{includeSelectors: true, pairs: {{app.kubernetes.io/instance: toy}}}}]
"""
_DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: triton}}
spec:
  replicas: 2
  template:
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: triton
          image: {image}
          command: [sh, -c, "touch /tmp/ready; sleep infinity"]
          envFrom: [{{configMapRef: {{name: release}}}}]
          # It is ready only some time after it began, as a server is.
          readinessProbe: {{exec: {{command: [test, -e, /tmp/ready]}}, initialDelaySeconds: 3, periodSeconds: 1}}
"""


def version(number: int) -> ModelVersion:
    return ModelVersion("toy", number, f"sha256:{number:064x}")


@pytest.fixture
def environment(kube: Kube) -> Iterator[str]:
    """A namespace that is named as an environment."""
    name = f"live-{uuid4().hex[:8]}"
    kube.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}])
    yield name
    kube.run("delete", "namespace", name, "--wait=false")


def test_a_release_is_live_when_argo_cd_and_its_deployment_are_done_and_not_before(
    kube: Kube, about: dict[str, Any], environment: str, repository: str, ada: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "KUBECONFIG", about["kubeconfig"])
    folder = f"envs/{environment}/toy"
    commit(ada, repository, f"{folder}/kustomization.yaml", _KUSTOMIZATION.format(environment=environment))
    commit(ada, repository, f"{folder}/deployment.yaml", _DEPLOYMENT.format(image=about["images"]["base"]))
    commit(ada, repository, f"{folder}/release.env", render_release_env(version(1)))
    url = f"{about['forge']['url']}/{repository}.git"
    with_user = url.replace("://", f"://{ada.user}:{ada.password}@")

    def served(number: int) -> Served:
        return Cluster().look([environment], past(with_user))(environment, version(number))

    assert served(1).waits_for == f"Argo CD has no Application {environment}-toy yet"
    named = {"name": f"{environment}-toy", "namespace": "argocd"}
    credential = {"type": "git", "url": url, "username": ada.user, "password": ada.password}
    label = {"argocd.argoproj.io/secret-type": "repository"}
    application = {
        "project": "default",
        "source": {"repoURL": url, "path": folder, "targetRevision": "main"},
        "destination": {"server": "https://kubernetes.default.svc", "namespace": environment},
        "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
    }
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {**named, "labels": label}, "stringData": credential}
    kind = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application"}
    kube.apply([secret, {**kind, "metadata": named, "spec": application}])
    try:
        seen = until(lambda: s if (s := served(1)).live else None, 120, "the first release is live")
        assert (seen.replicas, seen.address) == (2, f"triton-toy.{environment}.svc:8001")

        pod = kube.run("get", "pods", f"--namespace={environment}", "--output=name").split()[0]
        kube.run("exec", pod, f"--namespace={environment}", "--", "rm", "/tmp/ready")
        until(lambda: not served(1).live or None, 60, "with one of two replicas the release is not live")
        kube.run("exec", pod, f"--namespace={environment}", "--", "touch", "/tmp/ready")
        until(lambda: served(1).live or None, 120, "it is live with both again")

        commit(ada, repository, f"{folder}/release.env", render_release_env(version(2)))

        before = served(2)
        assert (before.live, before.waits_for is None) == (False, False)
        refresh = ["annotate", "application", named["name"], "--namespace=argocd", "argocd.argoproj.io/refresh=normal"]
        kube.run(*refresh)
        until(lambda: served(2).live or None, 120, "the second release is live")
        assert served(1).waits_for == "the Deployment serves toy@2"
    finally:
        kube.run("delete", "application", named["name"], "--namespace=argocd", "--wait=false")
        kube.run("delete", "secret", named["name"], "--namespace=argocd")
