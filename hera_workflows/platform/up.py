"""How does the one-machine platform come to run, and stop?"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from hera_workflows.platform import home as folder
from hera_workflows.platform import processes
from hera_workflows.platform.files import write
from hera_workflows.platform.leftovers import sweep
from hera_workflows.platform.prometheus import ensure_prometheus, wait_for_prometheus
from hera_workflows.platform.pushes import start_workflow, unfinished
from hera_workflows.platform.reconcile import Reconciled, reconcile
from hera_workflows.platform.servers import choose_ports, ensure_servers, stop_servers
from hera_workflows.settings import HOME_NAME, Platform, read_platform
from slipway.errors import Misconfigured
from slipway.lock import locked

__all__ = ["POINTS", "down", "find_project", "up"]

# Where a test may kill `up`; each is named for what has just been done.
POINTS = ("folder", "seeded", "prometheus started", "servers live", "all ready", "written down", "wanted")


def find_project(start: Path) -> Path:
    """The nearest folder at or above `start` that has a models/ folder; raises Misconfigured outside a project."""
    for place in (start, *start.parents):
        if (place / "models").is_dir():
            return place
    raise Misconfigured(
        f"{start} is not inside a project (no models/ folder here or above); "
        "write a first model with `slipway init NAME`, or give --project"
    )


def up(
    project: Path,
    home: Path | None = None,
    *,
    say: Callable[[str], None] = lambda line: None,
    at: Callable[[str], None] = lambda point: None,
) -> tuple[Platform, list[Reconciled]]:
    """Start what does not run yet and reconcile once; may be killed anywhere and run again.

    project: its envs/ seeds the environment repository, else the packaged environments do.
    home: where everything lies; the project's .slipway/ when not given.
    say: takes one line of progress. at: called at named points, for tests.
    Raises Misconfigured (the folder, Prometheus, environments.yaml), TryAgain (a server does not get ready).
    """
    from gitops.environment_repo import read
    from gitops.seed import default_folder, seed

    home = (home or project / HOME_NAME).resolve()
    began = time.monotonic()
    folder.make_folder(home)
    with locked(home / "up.lock", "slipway up or down", wait=120):
        folder.create(home)
        sweep()
        at("folder")
        if not folder.git(home / "env.git", "for-each-ref", f"refs/heads/{folder.BRANCH}"):
            environments = project / "envs"
            seed(str(home / "env.git"), environments if environments.is_dir() else default_folder())
        at("seeded")
        names = [environment.name for environment in read(str(home / "env.git")).environments.environments]
        stop_servers(home, keep=names)
        say(f"repositories, keys and store in {home}")
        platform = _start(home, names, say, at)
        at("all ready")
        # Last, so that nobody finds a platform that does not run.
        write(home / "platform.json", (json.dumps(asdict(platform), indent=2, default=str) + "\n").encode())
        at("written down")
        (home / folder.STOPPED).unlink(missing_ok=True)
    at("wanted")
    reconciled = reconcile(platform)
    for one in reconciled:
        serving = ", ".join(str(result.version) for result in one.results if result.state in ("ready", "unchanged"))
        say(f"{one.environment}: serves {serving or 'nothing yet'}")
    for name, push in unfinished(platform):
        start_workflow(platform, push, name)
        say(f"{name} did not end and goes on; `slipway logs {name} -f` follows it")
    say(f"up in {time.monotonic() - began:.1f} s")
    return platform, reconciled


def _start(home: Path, names: list[str], say: Callable[[str], None], at: Callable[[str], None]) -> Platform:
    """Start what does not run, and wait for it; elsewhere when somebody takes a port after it was chosen."""
    from triton_repo.ports import PortTaken

    started, prometheus_started = set[str](), False
    for left in (2, 1, 0):
        servers, prometheus_port = choose_ports(names, read_platform(home), home)
        platform = Platform(home=home, prometheus_port=prometheus_port, servers=tuple(servers))
        try:
            prometheus_started |= ensure_prometheus(platform)
            at("prometheus started")
            started |= ensure_servers(platform, servers)
            at("servers live")
            wait_for_prometheus(platform)
            break
        except PortTaken:
            if not left:
                raise
            say("somebody took a port meanwhile; trying others")
    for server in servers:
        how = "started" if server.environment in started else "already running"
        say(f"{server.environment}: Triton {how} (http {server.http_port}, grpc {server.grpc_port})")
    say(f"Prometheus {'started' if prometheus_started else 'already running'} ({platform.prometheus_url})")
    return platform


def down(home: Path, *, purge: bool = False) -> int:
    """Stop every process of the platform, running workflows included; returns how many. Data stays unless `purge`."""
    with locked(home / "up.lock", "slipway up or down", wait=120):
        write(home / folder.STOPPED, b"")
        count = processes.stop(home, "workflow")
        count += stop_servers(home)
        count += processes.stop(home)
        sweep()
        if purge:
            shutil.rmtree(home)
    return count
