"""Are the Debian packages installed that the node and the tests need?"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import Misconfigured, TryAgain

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["allow_services", "check_machine", "forbid_services", "install", "policies"]

# A program of each package, which says whether the package is there.
_PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ipset": "ipset",
    "socat": "socat",
    "iproute2": "ip",
    "procps": "sysctl",
    "util-linux": "nsenter",
    "chromium": "chromium",  # looks at the report as people do
    "prometheus-alertmanager": "amtool",  # reads docs/monitoring/alertmanager.yml as Alertmanager does
}
# The first lets no package start a service, the second lets none have systemd start it at the next boot.
_POLICIES = {
    "usr/sbin/policy-rc.d": "#!/bin/sh\n# Of slipway's test cluster, while it installs packages.\nexit 101\n",
    "run/systemd/system-preset/00-slipway-cluster.preset": "disable *\n",
}


def check_machine() -> None:
    """Raises Misconfigured, with what to do, where a cluster cannot be."""
    if os.geteuid() != 0:
        raise Misconfigured("the test cluster makes network namespaces and pods: run it as root")
    if not Path("/proc/sys/net/bridge").is_dir():
        raise Misconfigured("the kernel has no br_netfilter, so services would not be reachable from pods: modprobe it")


def install(say: Callable[[str], None]) -> None:
    """Install what is missing; none of the daemons in it starts, now or at a boot. Raises TryAgain, Misconfigured."""
    missing = sorted(package for package, program in _PACKAGES.items() if shutil.which(program) is None)
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise Misconfigured(f"install these programs: {', '.join(missing)} (only Debian's apt-get is known here)")
    say(f"install Debian packages: {' '.join(missing)}")
    forbid_services()
    try:
        _apt("update", "-qq")
        _apt("install", "-y", "-qq", "--no-install-recommends", *missing)
    finally:
        allow_services()


def forbid_services(root: Path = Path("/")) -> None:
    """Write the policies, but for those that the machine has of its own."""
    for name, text in _POLICIES.items():
        if not (path := root / name).exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755 if text.startswith("#!") else 0o644)


def allow_services(root: Path = Path("/")) -> None:
    """Remove the policies that are ours."""
    for path in policies(root):
        path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()  # only an empty one goes


def policies(root: Path = Path("/")) -> list[Path]:
    """The files that let no package start a service, if they are ours: a kill may have left them."""
    found = {root / name: text for name, text in _POLICIES.items()}
    return [path for path, text in found.items() if path.is_file() and path.read_text(errors="replace") == text]


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        ["apt-get", *arguments], env=environment, capture_output=True, text=True, check=False, timeout=900
    )
    if done.returncode:
        raise TryAgain(f"apt-get {arguments[0]} failed: {done.stderr.strip()[-800:]}")
