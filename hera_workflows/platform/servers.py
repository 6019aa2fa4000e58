"""Is each environment's Triton running, and at which ports?"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from hera_workflows.platform.processes import belonging, marked, stop
from hera_workflows.settings import Platform, Server
from slipway.errors import Misconfigured

if TYPE_CHECKING:
    from triton_repo.server import RunningTriton

__all__ = ["choose_ports", "ensure_servers", "model_folder", "running", "stop_servers"]


def model_folder(home: Path, environment: str) -> Path:
    """The model repository of that environment's Triton; its record and log lie beside it."""
    return home / "servers" / environment / "models"


def running(home: Path, environment: str) -> RunningTriton | None:
    """The environment's Triton; None when it has ended or never ran. Raises Misconfigured for a spoilt record."""
    from triton_repo.server import find_triton

    triton = find_triton(model_folder(home, environment).parent)
    return triton if triton is not None and triton.alive() else None


def stop_servers(home: Path, *, keep: Collection[str] = ()) -> int:
    """End and forget every Triton of the platform but those of the environments in `keep`; returns how many ran."""
    count = 0
    for record in (home / "servers").glob("*/triton.json"):
        if record.parent.name in keep:
            continue
        try:
            if (triton := running(home, record.parent.name)) is not None:
                count += 1
                # Its own way of stopping also clears the shared memory of the models' processes.
                triton.stop()
        except Misconfigured:
            # A spoilt record: the mark finds the process all the same when everything is stopped.
            record.unlink(missing_ok=True)
    return count if keep else count + stop(home, "triton")


def ensure_servers(platform: Platform, servers: Iterable[Server]) -> set[str]:
    """Have the Triton of each of these environments live on its ports; the names of those that had to be started.

    Raises TryAgain, with the end of its log, when one does not get live; PortTaken when another program has its port.
    """
    from triton_repo.ports import Ports
    from triton_repo.server import start_triton

    def start(server: Server) -> None:
        folder = model_folder(platform.home, server.environment)
        ports = Ports(http=server.http_port, grpc=server.grpc_port, metrics=server.metrics_port)
        start_triton(folder, folder.parent, secret=platform.secret_file.read_text(), ports=ports)

    dead = [server for server in servers if running(platform.home, server.environment) is None]
    if dead:
        with marked(platform.home, "triton"), ThreadPoolExecutor(len(dead)) as pool:
            list(pool.map(start, dead))
    return {server.environment for server in dead}


def choose_ports(names: Iterable[str], recorded: Platform | None, home: Path) -> tuple[list[Server], int]:
    """Servers for the named environments, and Prometheus's port: as they run now, else as recorded if still free."""
    from triton_repo.ports import free_ports

    known = {server.environment: server for server in recorded.servers} if recorded else {}
    servers = []
    for name in names:
        server = known.get(name)
        if (triton := running(home, name)) is not None:
            ports = [triton.ports.http, triton.ports.grpc, triton.ports.metrics]
        elif server is not None and all(map(_free, _ports(server))):
            ports = list(_ports(server))
        else:
            ports = free_ports(3)
        servers.append(Server(environment=name, http_port=ports[0], grpc_port=ports[1], metrics_port=ports[2]))
    port = recorded.prometheus_port if recorded else 0
    if not port or not (belonging(home, "prometheus") or _free(port)):
        (port,) = free_ports(1)
    return servers, port


def _ports(server: Server) -> tuple[int, int, int]:
    return server.http_port, server.grpc_port, server.metrics_port


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do, so that connections of an earlier one in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
