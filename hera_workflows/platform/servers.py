"""Is each environment's Triton running, and at which ports?"""

from __future__ import annotations

import socket
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from hera_workflows.platform.processes import belonging, marked, stop
from hera_workflows.settings import Platform, Server
from slipway.errors import TryAgain

__all__ = ["alive", "choose_ports", "ensure_server", "model_folder", "wait_for_server"]


def model_folder(platform: Platform, environment: str) -> Path:
    """The model repository of that environment's Triton."""
    return platform.home / "servers" / environment / "models"


def alive(server: Server) -> bool:
    """Whether a Triton answers on the server's HTTP port; says nothing about its models."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/v2/health/live", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def ensure_server(platform: Platform, server: Server) -> bool:
    """Have the environment's Triton run on its ports; True when it had to be started. Does not wait for it."""
    from triton_repo.server import Ports, start_triton

    role = _role(server)
    if belonging(platform.home, role) and alive(server):
        return False
    stop(platform.home, role)
    folder = model_folder(platform, server.environment)
    folder.mkdir(parents=True, exist_ok=True)
    with marked(platform.home, role):
        start_triton(
            folder,
            folder.parent,
            secret=platform.secret_file.read_text(),
            ports=Ports(http=server.http_port, grpc=server.grpc_port, metrics=server.metrics_port),
        )
    return True


def wait_for_server(platform: Platform, server: Server, *, timeout: float = 60) -> None:
    """Return once the Triton answers; raises TryAgain when it dies or takes longer than `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not alive(server):
        if not belonging(platform.home, _role(server)) or time.monotonic() > deadline:
            logs = model_folder(platform, server.environment).parent
            raise TryAgain(f"{server.environment}: Triton does not answer on port {server.http_port} (logs in {logs})")
        time.sleep(0.05)


def choose_ports(names: Iterable[str], recorded: Platform | None, home: Path) -> tuple[list[Server], int]:
    """Servers for the named environments, and Prometheus's port: the recorded ones where they are ours or free."""
    from triton_repo.server import free_ports

    known = {server.environment: server for server in recorded.servers} if recorded else {}
    servers = []
    for name in names:
        server = known.get(name)
        if server is None or not (belonging(home, _role(server)) or all(map(_free, _ports(server)))):
            http, grpc, metrics = free_ports(3)
            server = Server(environment=name, http_port=http, grpc_port=grpc, metrics_port=metrics)
        servers.append(server)
    port = recorded.prometheus_port if recorded else 0
    if not port or not (belonging(home, "prometheus") or _free(port)):
        (port,) = free_ports(1)
    return servers, port


def _role(server: Server) -> str:
    return f"triton-{server.environment}"


def _ports(server: Server) -> tuple[int, int, int]:
    return server.http_port, server.grpc_port, server.metrics_port


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
