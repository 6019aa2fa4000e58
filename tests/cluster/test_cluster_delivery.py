"""Does a commit reach the cluster, and a pull request only at the head that was judged?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.asking import commit, until

if TYPE_CHECKING:
    from tests.cluster.forge import Forge
    from tests.cluster.kube import Kube

pytestmark = pytest.mark.slow


def test_a_commit_becomes_synced_and_healthy(
    kube: Kube, about: dict[str, Any], namespace: str, repository: str, ada: Forge
) -> None:
    url = f"{about['forge']['url']}/{repository}.git"
    credential = {"type": "git", "url": url, "username": ada.user, "password": ada.password}
    label = {"argocd.argoproj.io/secret-type": "repository"}
    commit(ada, repository, "app/config.yaml", _config_map("first"))
    hook = {"url": f"{about['argo_cd']}/api/webhook", "content_type": "json", "secret": about["webhook_secret"]}
    ada.call(
        "POST", f"/repos/{repository}/hooks", {"type": "gitea", "config": hook, "events": ["push"], "active": True}
    )
    source = {"repoURL": url, "path": "app", "targetRevision": "main"}
    application = {
        "project": "default",
        "source": source,
        "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
        "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
    }
    named = {"name": namespace, "namespace": "argocd"}
    kube.apply(
        [
            {"apiVersion": "v1", "kind": "Secret", "metadata": {**named, "labels": label}, "stringData": credential},
            {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": named, "spec": application},
        ]
    )
    try:
        until(lambda: _revision(kube, namespace), 90, "the application is Synced and Healthy")

        head = commit(ada, repository, "app/config.yaml", _config_map("second"))

        until(lambda: _revision(kube, namespace) == head or None, 30, "the commit is Synced and Healthy")
        config = kube.get("configmap", "config", f"--namespace={namespace}")
        assert config
        assert config["data"] == {"value": "second"}
    finally:
        kube.run("delete", "application", namespace, "--namespace=argocd", "--wait=false")
        kube.run("delete", "secret", namespace, "--namespace=argocd")


def _config_map(value: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: config}}\ndata: {{value: {value}}}\n"


def _revision(kube: Kube, application: str) -> str | None:
    """The commit at which the application is Synced, Healthy and its operation has succeeded; None while it is not."""
    found = kube.get("application", application, "--namespace=argocd")
    status: dict[str, Any] = (found or {}).get("status", {})
    good = (
        status.get("sync", {}).get("status") == "Synced"
        and status.get("health", {}).get("status") == "Healthy"
        and status.get("operationState", {}).get("phase") == "Succeeded"
    )
    return str(status["sync"]["revision"]) if good else None


def test_a_pull_request_is_merged_at_the_head_that_was_judged_and_at_no_other(
    repository: str, ada: Forge, grace: Forge
) -> None:
    judged = commit(ada, repository, "release.env", "NUMBER=1\n", branch="promote", new=True)
    opened = {"head": "promote", "base": "main", "title": "Promote digits 1"}
    number = ada.call("POST", f"/repos/{repository}/pulls", opened)["number"]
    moved = commit(ada, repository, "release.env", "NUMBER=2\n", branch="promote")
    merge = f"/repos/{repository}/pulls/{number}/merge"

    refused = grace.call("POST", merge, {"Do": "merge", "head_commit_id": judged}, accept=(409,))

    assert refused == 409
    until(lambda: _merged(grace, merge, moved), 30, "the merge of the current head")
    assert grace.call("GET", f"/repos/{repository}/pulls/{number}")["merged_by"]["login"] == grace.user


def _merged(forge: Forge, path: str, head: str) -> bool | None:
    """405: the forge is still checking whether the request can be merged."""
    return forge.call("POST", path, {"Do": "merge", "head_commit_id": head}, accept=(405,)) != 405 or None
