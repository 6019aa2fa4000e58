"""How does the cluster get a network of its own, which nothing can leave?"""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import TryAgain
from tests.cluster.place import ADDRESS, APART, DATA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["create", "delete", "enter", "exists", "inside", "processes"]

NAME = "slipway-cluster"
_PATH = Path("/run/netns") / NAME
_CLONE_NEWNET = 0x40000000


def create() -> None:
    """Make the namespace, its node interface and its settings, or what of them is missing."""
    if not exists():
        _PATH.unlink(missing_ok=True)  # after a reboot the name may be there without its namespace
        _ip("netns", "add", NAME)
    if "node0" not in _ip("-n", NAME, "-br", "link"):
        # Both ends stay inside: the default route leads nowhere, so no packet can leave the machine.
        _ip("-n", NAME, "link", "add", "node0", "type", "veth", "peer", "name", "node1")
    for address in (ADDRESS, APART, DATA):
        _ip("-n", NAME, "addr", "replace", f"{address}/24", "dev", "node0")
    for device in ("lo", "node0", "node1"):
        _ip("-n", NAME, "link", "set", device, "up")
    _ip("-n", NAME, "route", "replace", "default", "dev", "node0")
    settings = {
        "net/ipv4/ip_forward": "1",
        "net/bridge/bridge-nf-call-iptables": "1",
        "net/ipv4/icmp_ratelimit": "0",  # else only the first of many refusals is said, and callers wait in vain
    }
    for name, value in settings.items():
        _run(inside(["sysctl", "-q", "-w", f"{name.replace('/', '.')}={value}"]))


def delete() -> None:
    """Remove the namespace, and with it every interface, route and firewall rule inside."""
    if exists():
        _ip("netns", "delete", NAME)
    _PATH.unlink(missing_ok=True)


def exists() -> bool:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split()[4] == str(_PATH) for line in mounts)


def enter() -> None:
    """Move this process, and everything that it starts from now on, into the namespace."""
    with _PATH.open() as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns", str(_PATH))


def inside(arguments: Sequence[str]) -> list[str]:
    """The command line that runs `arguments` inside.

    Not `ip netns exec`: it mounts /sys anew, which hides the cgroups from kubelet.
    """
    return ["nsenter", f"--net={_PATH}", "--", *arguments]


def processes() -> Iterator[int]:
    """Every process whose network is the cluster's (pods have networks of their own), but not this one."""
    if not exists():
        return
    wanted = _PATH.stat().st_ino
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            found = (folder / "ns/net").stat().st_ino
        except OSError:
            continue  # it ended meanwhile
        if found == wanted:
            yield int(folder.name)


def _ip(*arguments: str) -> str:
    return _run(["ip", *arguments])


def _run(arguments: Sequence[str]) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        raise TryAgain(f"{' '.join(arguments)} failed: {done.stderr.strip()}; run `make cluster` again")
    return done.stdout
