"""Do the queries mean something to the real Argo, and to Triton in pods that our PodMonitor finds?"""

from __future__ import annotations

import shutil
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from gitops.installation import Installation
from hera_workflows.templates.values import Values
from tests.cluster.asking import until
from tests.cluster.place import ADDRESS
from tests.cluster.serving import MODEL, serve_from
from tests.cluster.traffic import Traffic
from tests.cluster.watching import watching

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.kube import Kube
    from tests.cluster.place import Place

sys.path.insert(0, str(Path(__file__).parents[1] / "monitoring"))
from questions import alert_queries, ask, dashboard_queries, known_metrics, metrics_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
NAME = "monitoring-tests"
QUERIES = dashboard_queries(Values(), "slipway-way", {"__rate_interval": "1h"})
ALERTS = alert_queries(Values())


@pytest.fixture(scope="module")
def url(kube: Kube, about: dict[str, Any]) -> str:
    """The cluster's Prometheus, as soon as the promoter has run."""
    address = str(about["prometheus"])
    runs = "argo_workflows_workflowtemplate_runtime_count"
    until(
        lambda: ask(address, f'{runs}{{name="slipway-promote"}} > 0') or None, 240, "a run of the promoter is measured"
    )
    return address


@pytest.fixture(scope="module")
def delivered(kube: Kube, place: Place, url: str) -> Iterator[None]:
    """An Application of our project whose sync was tried and not done; it stays out of sync."""
    values = yaml.safe_load(place.path("install/values.yaml").read_text())
    application = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": NAME, "namespace": "argocd"},
        "spec": {
            "project": "slipway",
            "source": {"repoURL": values["env_repo"], "path": "envs/base", "targetRevision": "main"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "staging"},
        },
        "operation": {"sync": {"dryRun": True, "revision": "main"}},
    }
    kube.apply([application])
    until(lambda: ask(url, f'argocd_app_sync_total{{name="{NAME}"}}') or None, 120, "the dry run is measured")
    yield
    kube.run("delete", "application", NAME, "--namespace=argocd", "--wait=false")


@pytest.mark.parametrize("name", QUERIES)
def test_every_panel_about_the_way_shows_something(url, delivered, name):
    # A rate is known from a counter's second sample on.
    assert until(lambda: ask(url, QUERIES[name]) or None, 60, f"{name} shows something")


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_is_understood_by_prometheus(url, name):
    ask(url, ALERTS[name])


def test_every_metric_of_argo_that_an_alert_asks_for_exists(url, delivered):
    asked = {metric for query in ALERTS.values() for metric in metrics_of(query) if metric.startswith(("argo", "up"))}
    assert len(asked) >= 6
    assert asked <= known_metrics(url)


def test_an_application_that_is_not_as_git_says_is_what_the_alert_returns(url, delivered):
    assert NAME in {row["metric"]["name"] for row in ask(url, ALERTS["SlipwayOutOfSync"])}


@pytest.fixture
def claimed(kube: Kube, namespace: str) -> Iterator[str]:
    """A namespace with a volume under the store's name, which can be used again afterwards."""
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    kube.apply([_object("PersistentVolumeClaim", namespace, spec)])
    where = ["persistentvolumeclaim", "slipway-store", f"--namespace={namespace}"]
    volume = until(lambda: kube.get(*where)["spec"].get("volumeName"), 60, "the claim is bound")
    yield namespace
    kube.run("delete", "pod", "slipway-store", f"--namespace={namespace}", "--ignore-not-found", "--wait=true")
    kube.run("delete", *where, "--wait=true")
    kube.run("patch", "persistentvolume", volume, "--type=merge", "--patch", '{"spec": {"claimRef": null}}')


def test_the_kubelet_measures_a_volume_under_the_names_that_the_alert_asks_for(kube, about, claimed):
    container = {
        "name": "main",
        "image": about["images"]["base"],
        "command": ["sleep", "300"],
        "volumeMounts": [{"name": "store", "mountPath": "/store"}],
    }
    volume = {"name": "store", "persistentVolumeClaim": {"claimName": "slipway-store"}}
    pod = {"containers": [container], "volumes": [volume], "terminationGracePeriodSeconds": 0}
    kube.apply([_object("Pod", claimed, pod)])
    node = kube.get("nodes")["items"][0]["metadata"]["name"]
    asked = metrics_of(ALERTS["SlipwayVolumeNearlyFull"])
    labels = f'{{namespace="{claimed}",persistentvolumeclaim="slipway-store"}}'

    def measured() -> bool | None:
        text = kube.run("get", "--raw", f"/api/v1/nodes/{node}/proxy/metrics")
        return all(f"{metric}{labels}" in text for metric in asked) or None

    assert len(asked) == 2
    until(measured, 200, "the kubelet measures the volume")


@pytest.fixture(scope="module")
def served(kube: Kube, about: dict[str, Any], place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A namespace in which a model is served, from a prefix of the models' bucket, under traffic."""
    name = f"serving-{uuid.uuid4().hex[:8]}"
    installed = yaml.safe_load(place.path("install/values.yaml").read_text())["images"]
    images = {target: installed[target] for target in ("light", "triton")}
    try:
        model = serve_from(
            kube, about, name, tmp_path_factory.mktemp("envs"), Installation(**images, store=f"s3://models/{name}")
        )
        model.release(model.publish())
        model.wait(300)
        with Traffic(model.address(), MODEL):
            yield name
    finally:
        kube.run("delete", "namespace", name, "--ignore-not-found", "--wait=true", seconds=180)
        shutil.rmtree(place.path("s3/models", name), ignore_errors=True)


@pytest.fixture(scope="module")
def watched(place: Place, served: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus for that namespace alone: the cluster's own watches its environments only."""
    url = f"http://{ADDRESS}:9095"
    with watching(place, served, tmp_path_factory.mktemp("prometheus"), url):
        until(lambda: ask(url, "rate(nv_inference_request_success[10s]) > 0") or None, 90, "the traffic is measured")
        yield url


def test_every_panel_about_servers_shows_something_of_pods(watched, served):
    choices = {"environment": served, "model": MODEL, "__rate_interval": "15s"}
    boards = ("slipway-glance", "slipway-model")
    queries = {f"{uid} {name}": q for uid in boards for name, q in dashboard_queries(Values(), uid, choices).items()}
    assert [name for name, query in queries.items() if not ask(watched, query)] == []


def test_a_pods_series_carry_the_labels_that_the_promoter_reads(watched, served):
    labels = {"job": "triton", "environment": served, "model": MODEL, "version": "1", "serves": MODEL}
    [row] = ask(watched, "nv_inference_request_success")
    assert {key: row["metric"].get(key) for key in labels} == labels


def test_no_alert_about_servers_is_raised_for_pods_that_serve(watched, served):
    # Other environments' applications are seen here, their pods are not.
    raised = {
        name: [row for row in ask(watched, query) if row["metric"].get("environment") == served]
        for name, query in ALERTS.items()
        if "nv_" in query
    }
    assert len(raised) >= 4
    assert not any(raised.values()), raised


def _object(kind: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": "slipway-store", "namespace": namespace},
        "spec": spec,
    }
