"""A real Triton under load, and a real Prometheus that keeps what it says under the labels of our PodMonitor."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from triton_repo.ports import free_ports

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "triton_repo"))


def until(what: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for a fact about another process; fail the test when it does not come true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)


@pytest.fixture(name="until", scope="session")
def until_fixture() -> Callable[..., None]:
    return until


@pytest.fixture(scope="session")
def start_prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[list[dict[str, object]]], str]]:
    """start_prometheus(scrape_configs) is the URL of a Prometheus that scrapes every second."""
    running: list[subprocess.Popen[bytes]] = []

    def start(scrape: list[dict[str, object]]) -> str:
        binary = shutil.which("prometheus")
        assert binary, "prometheus is not on PATH; `make setup` installs it"
        folder = tmp_path_factory.mktemp("prometheus")
        quick = {"scrape_interval": "1s", "scrape_timeout": "1s"}
        (folder / "prometheus.yml").write_text(json.dumps({"global": quick, "scrape_configs": scrape}))
        (port,) = free_ports(1)
        arguments = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
        with (folder / "prometheus.log").open("wb") as log:
            running.append(
                subprocess.Popen(
                    [binary, *arguments, f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"],
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                )
            )

        def answers() -> bool:
            assert running[-1].poll() is None, (folder / "prometheus.log").read_text()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        until(answers)
        return f"http://127.0.0.1:{port}"

    yield start
    for process in running:
        process.kill()
        process.wait(10)
