"""What the promotion tests start from: values, a world of git and store, and a Prometheus that watches it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from promotion_world import says
from scraped import Scraped, Watched, exporter, start_prometheus, until

from slipway.manifest import DataSummary, Manifest, MetricValue, Validation
from slipway.observation import Observation
from slipway.spec import ModelSpec, Promotion
from slipway.verdict import Check, Outcome, Verdict
from triton_repo.ports import free_ports

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
    scrape = {"job_name": "triton", "scrape_interval": "1s", "scrape_timeout": "1s", "static_configs": jobs}
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
    (port,) = free_ports(1)
    return port


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

    return make_world(tmp_path, signing_key, prometheus)


@pytest.fixture(scope="session")
def gitea(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    """A real Gitea, and the folder of its repositories."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "forge"))
    from gitea_here import binary, start_gitea

    found = binary()
    if found is None:
        pytest.skip("no Gitea in the test cluster's cache; `python -m tests.cluster build` builds it")
    folder = tmp_path_factory.mktemp("gitea")
    running = start_gitea(folder, *found)
    yield running, folder / "repositories"
    running.stop()


@pytest.fixture
def yard(tmp_path: Path, signing_key: Path, prometheus: Scraped, gitea: tuple[Any, Path]) -> Any:
    """See forge_yard.Yard."""
    from forge_yard import make_yard

    return make_yard(tmp_path, signing_key, prometheus, *gitea)


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


@pytest.fixture
def released(world):
    """toy@1 in the first environment, seen with 500 good requests."""
    version = world.publish()
    world.release(version)
    world.say(says(500))
    return version


@pytest.fixture
def failing(world):
    """toy@2 in the first environment after toy@1, and every second request fails."""
    world.release(world.publish())
    version = world.publish()
    world.release(version)
    world.say(says(300, 300, number=2))
    return version
