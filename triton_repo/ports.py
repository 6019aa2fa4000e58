"""Where may a server listen on this machine?"""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from slipway.errors import TryAgain

__all__ = ["PortTaken", "Ports", "free_ports"]

_LOWEST_PORT = 10000


class PortTaken(TryAgain):
    """Somebody else listens where a server was to."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a server listens on 127.0.0.1."""

    http: int
    grpc: int
    metrics: int


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody uses at this moment, all different.

    They lie below those that the kernel gives to outgoing connections, one of which could otherwise take a port between
    this answer and the server's start, or while the server restarts.
    """
    candidates = list(range(_LOWEST_PORT, _first_outgoing_port()))
    random.SystemRandom().shuffle(candidates)  # so that two who ask at once get different ones
    found: list[int] = []
    for port in candidates:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise TryAgain(f"no {count} ports of 127.0.0.1 are free from {_LOWEST_PORT} on; end servers that nobody needs")


def _first_outgoing_port() -> int:
    """ip_local_port_range of Linux; its default where it cannot be read, or leaves too little below it."""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32768
    return first if first >= _LOWEST_PORT + 1000 else 32768
