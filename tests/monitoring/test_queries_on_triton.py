"""Every query about servers, asked of a real Prometheus that watches a real Triton under load."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from questions import alert_queries, ask, choices_of, dashboard_queries, known_metrics, metrics_of

from gitops.layout import kubernetes_name
from gitops.metrics import PrometheusMetrics
from hera_workflows.templates.values import Values

pytestmark = pytest.mark.slow
VALUES = Values()
MODEL = "toy_model"
# What our PodMonitor makes of a pod of that model in the namespace production.
LABELS = {
    "environment": "production",
    "application": f"production-{kubernetes_name(MODEL)}",
    "serves": kubernetes_name(MODEL),
    "namespace": "production",
    "pod": "triton-toy-1",
}
CHOICES = {"environment": "production", "model": MODEL, "__rate_interval": "15s"}
QUERIES = {
    f"{uid}: {name}": query
    for uid in ("slipway-glance", "slipway-model")
    for name, query in dashboard_queries(VALUES, uid, CHOICES).items()
}
SERVING = {name: query for name, query in alert_queries(VALUES).items() if "nv_" in query}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, start_prometheus, until) -> Iterator[str]:
    from triton_toys import SECRET, golden, make_candidate, make_draft

    from triton_repo.bundle import publish
    from triton_repo.control import TritonControl
    from triton_repo.replay import replay
    from triton_repo.server import start_triton
    from triton_repo.serving import serve
    from triton_repo.signing import generate_keys
    from triton_repo.store import open_store

    folder: Path = tmp_path_factory.mktemp("served")
    (folder / "store").mkdir()
    generate_keys(folder / "signing.key", folder / "signing.pub")
    candidate = make_candidate(folder / "candidate")
    store = open_store(str(folder / "store"))
    version = publish(store, make_draft(candidate, MODEL), candidate, folder / "signing.key")
    triton = start_triton(folder / "repository", folder / "triton", secret=SECRET)
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            replay(triton.grpc_address, MODEL, 1, golden(2.0), 20, 1e-6)
            stop.wait(0.1)

    client = threading.Thread(target=load)
    try:
        with TritonControl(triton.grpc_address, SECRET) as control:
            serve(store, control, folder / "repository", [version], verify_key=None, timeout=60)
        client.start()
        target = {"targets": [f"127.0.0.1:{triton.ports.metrics}"], "labels": LABELS}
        url = start_prometheus([{"job_name": "triton", "static_configs": [target]}])
        until(lambda: ask(url, "nv_inference_request_success > 100"))
        until(lambda: ask(url, "rate(nv_inference_request_success[15s]) > 0"))
        yield url
    finally:
        stop.set()
        client.join(20)
        triton.stop(0)


@pytest.mark.parametrize("name", QUERIES)
def test_every_panel_about_servers_shows_something(url, name):
    values = [float(row["value"][1]) for row in ask(url, QUERIES[name])]
    assert values
    assert all(math.isfinite(value) for value in values)


@pytest.mark.parametrize(
    ("uid", "offered"), [("slipway-glance", ["environment"]), ("slipway-model", ["environment", "model"])]
)
def test_a_person_may_choose_what_there_is(url, uid, offered):
    assert choices_of(url, VALUES, uid, CHOICES) == {name: [CHOICES[name]] for name in offered}


@pytest.mark.parametrize("name", SERVING)
def test_an_alert_about_servers_is_understood_and_asks_for_metrics_that_exist(url, name):
    ask(url, SERVING[name])
    asked = metrics_of(SERVING[name])
    assert asked
    # Argo CD is no part of this; its metrics are looked for on a cluster.
    assert {metric for metric in asked if not metric.startswith("argocd_")} <= known_metrics(url)


def test_no_alert_about_servers_is_raised_for_a_healthy_model(url):
    assert [name for name, query in SERVING.items() if ask(url, query)] == []


def test_the_promoter_reads_what_the_pod_monitor_labels(url):
    with PrometheusMetrics(url) as metrics:
        measured = metrics.measure(span=timedelta(minutes=5)).of("production", MODEL, 1)
    assert (measured.replicas, measured.ready_replicas, measured.failures) == (1, 1, {})
    assert measured.requests is not None
    assert measured.requests > 100
