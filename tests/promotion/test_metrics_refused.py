"""A Prometheus that is down, slow, or something else is told apart from one without data."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gitops.metrics import PrometheusMetrics
from slipway.errors import Misconfigured, TryAgain


@pytest.fixture
def impostor():
    """impostor(status, body, delay) is the URL of something that answers like that to everything."""
    servers = []

    def start(status: int, body: bytes, delay: threading.Event | None = None) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if delay:
                    delay.wait(20)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                with suppress(BrokenPipeError):  # who asked may have given up
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()


def measure(url: str, timeout: float = 10.0) -> object:
    with PrometheusMetrics(url, timeout=timeout) as metrics:
        return metrics.measure(span=timedelta(minutes=1))


def test_a_prometheus_that_is_down_is_tried_again_later(free_port):
    with pytest.raises(TryAgain, match=r"does not answer \(NewConnectionError\); see that it runs"):
        measure(f"http://127.0.0.1:{free_port}")


def test_a_prometheus_that_is_slow_is_given_up_in_time(impostor):
    answered = threading.Event()
    began = time.monotonic()
    with pytest.raises(TryAgain, match="does not answer"):
        measure(impostor(200, b"", answered), timeout=0.5)
    answered.set()
    assert time.monotonic() - began < 5


def test_a_prometheus_that_is_overloaded_is_tried_again_later(impostor):
    with pytest.raises(TryAgain, match="answers 503"):
        measure(impostor(503, b'{"error":"too many queries"}'))


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_a_refused_query_is_a_wrong_setting(impostor, status):
    with pytest.raises(Misconfigured, match=f"refuses with {status}"):
        measure(impostor(status, b"no"))


@pytest.mark.parametrize(
    "body",
    [
        b"<html>hello</html>",
        b"{}",
        b"[]",
        b"null",
        b'{"status":"success","data":{"result":[1700000000,"nonsense"]}}',
        b'{"status":"success","data":{"result":[1700000000,"1e99"]}}',
        b'{"status":"success","data":{"result":[1700000000,"1700000000"]}}',
        b'{"status":"success","data":{"result":null}}',
        b'{"status":"success","data":{"result":{}}}',
        b"\xff\xfe",
    ],
)
def test_something_else_that_answers_there_is_a_wrong_setting(impostor, body):
    with pytest.raises(Misconfigured, match="not as a Prometheus does"):
        measure(impostor(200, body))


@pytest.mark.parametrize("status", [204, 206, 304])
def test_a_status_that_prometheus_never_answers_is_a_wrong_setting(impostor, status):
    with pytest.raises(Misconfigured, match=f"not as a Prometheus does .with status {status}"):
        measure(impostor(status, b""))


@pytest.mark.parametrize("url", ["not a url", "ftp://127.0.0.1", "http://", "http://[::1"])
def test_a_url_that_is_none_is_a_wrong_setting(url):
    with pytest.raises(Misconfigured, match="PROMETHEUS_URL"):
        measure(url)
