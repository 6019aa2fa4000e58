"""Values that the promotion tests start from, and a real Prometheus with the targets that it scrapes."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from slipway.manifest import DataSummary, Manifest, MetricValue, Validation
from slipway.observation import Observation
from slipway.spec import ModelSpec, Promotion
from slipway.verdict import Check, Outcome, Verdict

sys.path.insert(0, str(Path(__file__).parent))

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def policy():
    """policy(min_requests=…) is a Promotion; the numbers left out are those of model.yaml's defaults."""
    return lambda **changes: Promotion.model_validate({"soak": "10m", "min_requests": 500, **changes})


@pytest.fixture
def seen():
    """seen(requests=…) is an Observation of a healthy version with what the test changes."""

    def build(**changes: Any) -> Observation:
        healthy: dict[str, Any] = {
            "environment": "staging",
            "model": "digits",
            "number": 3,
            "digest": DIGEST,
            "observed_at": NOW,
            "window_seconds": 900,
            "reconciled": True,
            "replicas": 2,
            "ready_replicas": 2,
            "ready_since": NOW - timedelta(minutes=15),
            "requests": 1200,
            "failures": {},
            "p95_ms": 12.0,
            "replay": None,
        }
        return Observation.model_validate({**healthy, **changes})

    return build


@pytest.fixture
def manifest_of():
    """manifest_of(promotion={…}, outcome=…) is the manifest of digits@3 with that policy and validation."""

    def build(*, number: int = 3, promotion: dict[str, Any] | None = None, outcome: Outcome = Outcome.PASS) -> Manifest:
        spec = ModelSpec.model_validate(
            {"name": "digits", "task": "multiclass-classification", "promotion": promotion or {}}
        )
        check = Check(name="accuracy", verdict=Verdict.PASS, reason="0.98; >= 0.95 needed", value=0.98)
        return Manifest(
            name="digits",
            number=number,
            created=NOW,
            source_commit="c" * 40,
            operation_id=f"publish-{number}",
            run="run-1",
            spec=spec,
            data=DataSummary(digest=DIGEST, counts={"test": 360}),
            training={"seconds": 3.0},
            validation=Validation(
                outcome=outcome, checks=[check], metrics={"accuracy": MetricValue(value=0.98)}, files={}
            ),
            tools={},
            files={},
        )

    return build


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(what: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for a fact about another process; fail the test when it does not come true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)


@dataclass
class Watched:
    """One scrape target; what it says may be changed at any time."""

    text: str
    scrapes: int = 0

    def say(self, text: str) -> None:
        """Change what the target says, and wait until Prometheus has stored it."""
        self.text = text
        seen = self.scrapes
        # The third scrape begins after the second, which read the new text, was stored.
        until(lambda: self.scrapes >= seen + 3)


@dataclass
class Scraped:
    """A Prometheus that scrapes every 300 ms, and environments with one or more servers each, silent at first.

    All targets are declared at its start, because a new one is taken up only seconds later.
    """

    url: str
    unused: list[tuple[str, tuple[str, ...], list[Watched]]]

    def environment(self, servers: int = 1, serves: tuple[str, ...] = ()) -> tuple[str, list[Watched]]:
        """An environment that no other test uses, and its scrape targets; `serves`: the model of each, if of one."""
        fitting = (e for e in self.unused if len(e[2]) == servers and e[1] == serves)
        chosen = next(fitting, None)
        assert chosen, "declare more environments in the fixture `prometheus`"
        self.unused.remove(chosen)
        until(lambda: all(target.scrapes >= 2 for target in chosen[2]))
        return chosen[0], chosen[2]


def exporter(watched: dict[str, Watched]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # keeps connections, so that many targets cost little

        def do_GET(self) -> None:
            target = watched[self.path.strip("/")]
            body = target.text.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            target.scrapes += 1

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def start_prometheus(folder: Path, scrape: dict[str, object]) -> tuple[subprocess.Popen[bytes], str]:
    """A Prometheus on a free port with that scrape configuration."""
    binary = shutil.which("prometheus")
    assert binary, "prometheus is not on PATH; `make prometheus` installs it"
    port = free_port()
    (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": [scrape]}))
    process = subprocess.Popen(
        [
            binary,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ],
        stdout=subprocess.DEVNULL,
        stderr=(folder / "prometheus.log").open("wb"),
    )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, (folder / "prometheus.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(answers)
    return process, url


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    """A real Prometheus and what it scrapes."""
    watched: dict[str, Watched] = {}
    server = exporter(watched)
    environments, jobs = [], []
    shapes: list[tuple[str, ...]] = [("",)] * 66 + [("", "")] * 5 + [("digits", "sentiment")]
    for index, serves in enumerate(shapes):
        targets = []
        for number, model in enumerate(serves):
            path = f"{index}-{number}"
            targets.append(watched.setdefault(path, Watched("")))
            labels = {"environment": f"env{index}", "instance": f"server-{path}", "__metrics_path__": f"/{path}"}
            jobs.append(
                {
                    "targets": [f"127.0.0.1:{server.server_port}"],
                    "labels": labels | ({"serves": model} if model else {}),
                }
            )
        environments.append((f"env{index}", tuple(m for m in serves if m), targets))
    scrape = {"job_name": "triton", "scrape_interval": "300ms", "scrape_timeout": "300ms", "static_configs": jobs}
    process, url = start_prometheus(tmp_path_factory.mktemp("prometheus"), scrape)
    yield Scraped(url, environments)
    process.kill()
    process.wait(10)
    server.shutdown()


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., None]:
    """until(fact) waits for a fact about another process."""
    return until


@pytest.fixture(name="free_port")
def free_port_fixture() -> int:
    """A port that nothing listens on."""
    return free_port()


@pytest.fixture(scope="session")
def signing_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key that publishes."""
    from triton_repo.signing import generate_keys

    folder = tmp_path_factory.mktemp("keys")
    generate_keys(folder / "signing.key", folder / "signing.pub")
    return folder / "signing.key"


@pytest.fixture
def world(tmp_path: Path, signing_key: Path, prometheus: Scraped) -> Any:
    """See promotion_world.World."""
    from promotion_world import make_world

    return make_world(tmp_path, signing_key, prometheus, until)


@pytest.fixture
def background() -> Iterator[Callable[[Callable[[], object]], None]]:
    """background(action) does something while the test goes on; it is over when the test is."""
    threads: list[threading.Thread] = []

    def start(action: Callable[[], object]) -> None:
        threads.append(threading.Thread(target=action))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join(30)


@pytest.fixture(name="start_prometheus")
def start_prometheus_fixture(tmp_path: Path) -> Iterator[Callable[[dict[str, object]], str]]:
    """start_prometheus(scrape_config) is the URL of one more Prometheus."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(scrape: dict[str, object]) -> str:
        folder = tmp_path / f"prometheus-{len(processes)}"
        folder.mkdir()
        process, url = start_prometheus(folder, scrape)
        processes.append(process)
        return url

    yield start
    for process in processes:
        process.kill()
        process.wait(10)
