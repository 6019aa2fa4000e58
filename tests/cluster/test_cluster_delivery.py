"""Does a commit reach the cluster, at once and by itself, and a pull request only at the head that was judged?"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster import team
from tests.cluster.asking import commit, until
from tests.cluster.deliveries import Events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.forge import Forge
    from tests.cluster.journey import Journey
    from tests.cluster.kube import Kube

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


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


@dataclass(frozen=True, slots=True)
class Merged:
    """A push to the environment repository, made by a person's merge."""

    folder: str  # of staging, which came with it
    before: str
    after: str
    asked: int  # how often the sensor had asked Argo CD to look until then


@pytest.fixture(scope="module")
def merged(journey: Journey) -> Iterator[Merged]:
    """Grace has merged a new folder of staging, in which nothing is served; she takes it out again."""
    folder, asked = f"delivered-{uuid.uuid4().hex[:8]}", _asked(journey.kube)
    where = f"/repos/{team.ENVIRONMENTS}"
    commit(journey.ada, team.ENVIRONMENTS, f"envs/staging/{folder}/retired/README.md", "", branch=folder, new=True)
    request = {"head": folder, "base": "main", "title": f"Add {folder}"}
    after = journey.merge(journey.ada.call("POST", f"{where}/pulls", request))
    try:
        before = journey.ada.call("GET", f"{where}/git/commits/{after}")["parents"][0]["sha"]
        yield Merged(folder, before, after, asked)
    finally:
        undo = journey.revert(after)
        journey.merge(undo)
        for branch in (folder, undo["head"]["ref"]):
            journey.ada.call("DELETE", f"{where}/branches/{branch}", accept=(404,))
        until(lambda: not _application(journey.kube, folder) or None, 120, "the folder's Application is gone")


def test_a_merge_into_the_environment_repository_starts_the_promoter(kube: Kube, merged: Merged) -> None:
    name = f"promote-{merged.after[:12]}-{merged.before[:12]}"
    until(lambda: kube.get("workflow", name, "--namespace=slipway"), 60, f"workflow {name}")


def test_a_merge_into_the_environment_repository_lets_the_sensor_ask_argo_cd_to_look(
    kube: Kube, merged: Merged
) -> None:
    until(lambda: _asked(kube) > merged.asked or None, 60, "the sensor has asked")


def test_the_application_of_a_folder_that_was_merged_is_there_at_once(kube: Kube, merged: Merged) -> None:
    until(lambda: _asked(kube) > merged.asked or None, 60, "the sensor has asked")
    # By itself Argo CD looks after a minute.
    until(lambda: _application(kube, merged.folder), 20, "the folder's Application")


def _asked(kube: Kube) -> int:
    """How often the installed sensor's wish that Argo CD looks was taken by the API server."""
    [sensor] = (kube.get("pods", "--selector=sensor-name=slipway", "--namespace=slipway") or {})["items"]
    return Events(kube, "", sensor["status"]["podIP"]).counted("action_triggered_total", "refresh")


def _application(kube: Kube, folder: str) -> dict[str, Any] | None:
    return kube.get("application", f"staging-{folder}", "--namespace=argocd")
