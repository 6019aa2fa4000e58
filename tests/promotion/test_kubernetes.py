"""How a Kubernetes API's answers are read: a handwritten server gives those that a real one gives only when it ails.

tests/cluster asks the real one.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gitops.history import Event, Past
from hera_workflows.kubernetes_api import connect
from hera_workflows.promoter.kubernetes import Cluster
from slipway.errors import Misconfigured, TryAgain
from slipway.version import ModelVersion

RELEASE = "b" * 40


def version(model: str) -> ModelVersion:
    return ModelVersion(model, 3, "sha256:" + "a" * 64)


def past(models: list[str]) -> Past:
    def event(model: str) -> Event:
        return Event(RELEASE, None, "", "", None, "staging", model, None, version(model))  # type: ignore[arg-type]

    return Past((), {RELEASE: 0}, {("staging", model): event(model) for model in models}, {})


def objects(models: list[str]) -> dict[str, list[dict[str, Any]]]:
    """What a cluster has of models that are live in staging."""
    health = {"sync": {"status": "Synced", "revision": RELEASE}, "health": {"status": "Healthy"}}
    done = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
    return {
        "applications": [
            {"metadata": {"name": f"staging-{m}"}, "status": {**health, "operationState": {"phase": "Succeeded"}}}
            for m in models
        ],
        "configmaps": [
            {
                "metadata": {"name": f"release-{m}-x"},
                "data": {"MODEL": m, "VERSION": "3", "DIGEST": version(m).digest},
            }
            for m in models
        ],
        "deployments": [
            {
                "metadata": {"name": f"triton-{m}", "generation": 1},
                "spec": {
                    "replicas": 1,
                    "template": {"spec": {"containers": [{"envFrom": [{"configMapRef": {"name": f"release-{m}-x"}}]}]}},
                },
                "status": done,
            }
            for m in models
        ],
    }


class Api(ThreadingHTTPServer):
    """Lists of objects, two a page; or one and the same answer to everything."""

    def __init__(self, content: dict[str, list[dict[str, Any]]], always: tuple[int, bytes] | None = None) -> None:
        self.content, self.always, self.asked = content, always, 0
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        api = self.server
        assert isinstance(api, Api)
        api.asked += 1
        url = urlsplit(self.path)
        begin = int(parse_qs(url.query).get("continue", ["0"])[0])
        found = api.content.get(url.path.rsplit("/", 1)[1], [])
        after = {"continue": str(begin + 2)} if begin + 2 < len(found) else {}
        status, body = api.always or (200, json.dumps({"metadata": after, "items": found[begin : begin + 2]}).encode())
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Cluster, Api]]]:
    """cluster(objects, always=…) is a cluster with an API that answers so."""
    running: list[Api] = []

    def start(content: dict[str, list[dict[str, Any]]], always: tuple[int, bytes] | None = None) -> tuple[Cluster, Api]:
        running.append(Api(content, always))
        threading.Thread(target=running[-1].serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return at(running[-1].server_port), running[-1]

    def at(port: int) -> Cluster:
        context = {"name": "x", "context": {"cluster": "x", "user": "x"}}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "x",
            "clusters": [{"name": "x", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "x", "user": {}}],
            "contexts": [context],
        }
        (tmp_path / "config").write_text(json.dumps(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
        return Cluster()

    start.at = at  # type: ignore[attr-defined]
    yield start
    for api in running:
        api.shutdown()
        api.server_close()


def test_everything_that_is_live_is_found_on_all_pages(cluster):
    models = ["a", "b", "c", "d", "e"]
    found, _ = cluster(objects(models))
    look = found.look(["staging"], past(models))
    assert [look("staging", version(model)).live for model in models] == [True] * 5


def test_the_number_of_calls_does_not_follow_the_number_of_models(cluster):
    found, api = cluster(objects(["a", "b"]))
    look = found.look(["staging", "production"], past(["a", "b"]))
    for _ in range(100):
        look("staging", version("a"))
    assert api.asked == 1 + 2 + 2


def test_what_the_cluster_does_not_have_is_waited_for(cluster):
    found, _ = cluster({})
    assert found.look(["staging"], past([]))("staging", version("a")).live is False


def test_objects_without_a_status_are_waited_for(cluster):
    bare = objects(["a"])
    for kind in ("applications", "deployments"):
        del bare[kind][0]["status"]
    found, _ = cluster(bare)
    assert found.look(["staging"], past(["a"]))("staging", version("a")).live is False


@pytest.mark.parametrize("status", [404, 401, 403])
def test_what_a_person_must_change_is_said_to_them(cluster, status):
    found, _ = cluster({}, (status, b"{}"))
    with pytest.raises(Misconfigured, match=r"install Argo CD|kubectl apply -k"):
        found.look(["staging"], past([]))


@pytest.mark.parametrize("answer", [(410, b"{}"), (500, b""), (200, b"<html>"), (200, b"[]"), (200, b'{"items": 1}')])
def test_an_api_that_ails_is_asked_again_later(cluster, answer):
    found, _ = cluster({}, answer)
    with pytest.raises(TryAgain, match="try again"):
        found.look(["staging"], past([]))


def test_a_list_that_there_is_not_is_empty_unless_it_must_be_there(cluster):
    cluster({}, (404, b"{}"))
    api = connect(remedy="ask")
    assert list(api.items("/api/v1/nodes")) == []
    with pytest.raises(Misconfigured, match="install it"):
        list(api.items("/api/v1/nodes", absent="install it"))


def test_a_refusal_says_what_to_do(cluster):
    cluster({}, (403, b'{"message": "no"}'))
    with pytest.raises(Misconfigured, match=r"/api/v1/nodes: the Kubernetes API refuses with 403 \(no\); ask Ann"):
        list(connect(remedy="ask Ann").items("/api/v1/nodes"))


def test_an_api_that_is_away_is_asked_again_later(cluster, free_port):
    with pytest.raises(TryAgain, match="does not answer"):
        cluster.at(free_port).look(["staging"], past([]))


def test_without_a_cluster_the_remedy_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    with pytest.raises(Misconfigured, match="set KUBECONFIG"):
        Cluster()


@pytest.mark.parametrize("content", ["a: [b", "[]", "{current-context: a, contexts: 3}"])
def test_a_damaged_kubeconfig_is_a_setting_to_change(tmp_path: Path, monkeypatch, content: str):
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    with pytest.raises(Misconfigured, match=r"^no cluster is known here .* set KUBECONFIG"):
        connect(remedy="ask")
