"""Is a model that was retired served no more, whatever people wrote in its folder?"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from gitops.bump import bump
from gitops.layout import kustomization
from gitops.retire import retire
from gitops.seed import default_folder, seed
from hera_workflows.templates.render import render
from hera_workflows.templates.values import Values
from slipway.operation import Operation
from slipway.version import ModelVersion
from tests.cluster.asking import commit, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cluster.forge import Forge
    from tests.cluster.kube import Kube

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SECONDS = 270  # on a busy machine a sync may fail, and Argo CD looks again after a minute


@pytest.fixture
def url(
    kube: Kube,
    about: dict[str, Any],
    namespace: str,
    repository: str,
    ada: Forge,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """An environment repository with one environment, which Argo CD serves in the namespace."""
    url = f"{about['forge']['url']}/{repository}.git"
    host = url.removeprefix("http://").partition("/")[0]
    (tmp_path / "credentials").write_text(f"http://{ada.user}:{ada.password}@{host}\n")
    monkeypatch.setenv("GIT_CREDENTIALS", str(tmp_path / "credentials"))
    shutil.copytree(default_folder(), tmp_path / "envs")
    environments = {"environments": [{"name": namespace, "accepts": "direct"}]}
    (tmp_path / "envs/environments.yaml").write_text(yaml.safe_dump(environments))
    seed(url, tmp_path / "envs")
    hook = {"url": f"{about['argo_cd']}/api/webhook", "content_type": "json", "secret": about["webhook_secret"]}
    wanted = {"type": "gitea", "config": hook, "events": ["push"], "active": True}
    ada.call("POST", f"/repos/{repository}/hooks", wanted)
    files = render(Values.model_validate({"environments": [namespace], "env_repo": url}))
    project, applications = (yaml.safe_load(files[f"delivery/{name}.yaml"]) for name in ("project", "applications"))
    for one in (project, applications):
        one["metadata"]["name"] = namespace
    applications["spec"]["template"]["spec"]["project"] = namespace
    credential = {"type": "git", "url": url, "username": ada.user, "password": ada.password}
    secret = {"name": namespace, "namespace": "argocd", "labels": {"argocd.argoproj.io/secret-type": "repository"}}
    kube.apply([{"apiVersion": "v1", "kind": "Secret", "metadata": secret, "stringData": credential}])
    kube.apply([project, applications])
    yield url
    kube.run("delete", "applicationset", namespace, "--namespace=argocd", "--wait=true", seconds=90)
    until(lambda: True if not _models(kube, "applications", "argocd", namespace) else None, SECONDS, "no Application")
    kube.run("delete", "appproject,secret", namespace, "--namespace=argocd", "--ignore-not-found")


def _models(kube: Kube, kind: str, where: str, environment: str) -> set[str]:
    """The models whose Deployments, or whose Applications, are there."""
    found = kube.get(kind, f"--namespace={where}") or {}
    prefix = "triton-" if kind == "deployments" else f"{environment}-"
    names = {item["metadata"]["name"] for item in found.get("items", [])}
    return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}


def _release(url: str, environment: str, model: str, number: int) -> None:
    version = ModelVersion(model, number, f"sha256:{'0' * 64}")
    bump(url, version, Operation(f"bump/{model}/{number}", "bump", environment, version))


def test_a_retired_model_is_not_served(kube: Kube, url: str, namespace: str, repository: str, ada: Forge) -> None:
    def served(models: set[str]) -> Callable[[], bool | None]:
        # What the sensor asks after a push.
        asked = {"metadata": {"annotations": {"argocd.argoproj.io/application-set-refresh": "true"}}}
        kube.run("patch", "applicationset", namespace, "-n=argocd", "--type=merge", f"--patch={json.dumps(asked)}")
        return lambda: True if _models(kube, "deployments", namespace, namespace) == models else None

    for model in ("kept", "gone"):
        _release(url, namespace, model, 1)
    patch = {"patches": [{"path": "replicas.yaml"}]}
    text = kustomization(namespace, "gone").decode() + yaml.safe_dump(patch)
    commit(ada, repository, f"envs/{namespace}/gone/replicas.yaml", REPLICAS)
    commit(ada, repository, f"envs/{namespace}/gone/kustomization.yaml", text)
    until(served({"kept", "gone"}), SECONDS, "both are served")

    retire(url, namespace, "gone", operation_id="retire")
    until(served({"kept"}), SECONDS, "the retired one is not served")

    for model in ("new", "gone"):
        _release(url, namespace, model, 2)
    until(served({"kept", "gone", "new"}), SECONDS, "a new one is served, and the retired one again")
    found = kube.get("deployment", "triton-gone", f"--namespace={namespace}")
    assert found
    assert found["spec"]["replicas"] == 0


REPLICAS = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: triton}
spec: {replicas: 0}
"""
