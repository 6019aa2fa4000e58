"""A real Prometheus, and targets for it that say what a test wants."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from hera_workflows.platform.prometheus import find_prometheus
from triton_repo.ports import free_ports

__all__ = ["Scraped", "Watched", "exporter", "start_prometheus", "until"]


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
    scrapes: Counter[str] = field(default_factory=Counter)  # by what was said

    def say(self, text: str) -> None:
        """Change what the target says, and wait until Prometheus has stored it."""
        seen = self.scrapes[text]
        self.text = text
        # The second scrape that reads it begins after the first was stored.
        until(lambda: self.scrapes[text] >= seen + 2)


@dataclass
class Scraped:
    """A Prometheus that scrapes every second, and environments with one or more servers each, silent at first.

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
        until(lambda: all(target.scrapes[""] >= 2 for target in chosen[2]))
        return chosen[0], chosen[2]


def exporter(watched: dict[str, Watched]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # keeps connections, so that many targets cost little

        def do_GET(self) -> None:
            target = watched[self.path.strip("/")]
            text = target.text
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            target.scrapes[text] += 1

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def start_prometheus(folder: Path, scrape: dict[str, object]) -> tuple[subprocess.Popen[bytes], str]:
    """A Prometheus on a free port with that scrape configuration."""
    (port,) = free_ports(1)
    (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": [scrape]}))
    process = subprocess.Popen(
        [
            str(find_prometheus()),
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
        with suppress(OSError), urllib.request.urlopen(f"{url}/-/ready", timeout=5) as answer:
            return answer.status == 200
        return False

    until(answers)
    return process, url
