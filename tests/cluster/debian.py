"""Are the Debian packages installed that the node and the tests need?"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import Misconfigured, TryAgain

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["check_machine", "install", "policies"]

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
}
_POLICY = Path("/usr/sbin/policy-rc.d")
_NO_SERVICES = "#!/bin/sh\n# Of slipway's test cluster, while it installs packages.\nexit 101\n"


def check_machine() -> None:
    """Raises Misconfigured, with what to do, where a cluster cannot be."""
    if os.geteuid() != 0:
        raise Misconfigured("the test cluster makes network namespaces and pods: run it as root")
    if not Path("/proc/sys/net/bridge").is_dir():
        raise Misconfigured("the kernel has no br_netfilter, so services would not be reachable from pods: modprobe it")


def install(say: Callable[[str], None]) -> None:
    """Install what is missing; none of the daemons in it is started. Raises TryAgain, Misconfigured."""
    missing = sorted(package for package, program in _PACKAGES.items() if shutil.which(program) is None)
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise Misconfigured(f"install these programs: {', '.join(missing)} (only Debian's apt-get is known here)")
    say(f"install Debian packages: {' '.join(missing)}")
    if not _POLICY.exists():
        _POLICY.write_text(_NO_SERVICES)
        _POLICY.chmod(0o755)
    try:
        _apt("update", "-qq")
        _apt("install", "-y", "-qq", "--no-install-recommends", *missing)
    finally:
        for path in policies():
            path.unlink()


def policies() -> list[Path]:
    """The file that lets no package start a service, if it is ours: a kill may have left it."""
    return [_POLICY] if _POLICY.is_file() and _POLICY.read_text(errors="replace") == _NO_SERVICES else []


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        ["apt-get", *arguments], env=environment, capture_output=True, text=True, check=False, timeout=900
    )
    if done.returncode:
        raise TryAgain(f"apt-get {arguments[0]} failed: {done.stderr.strip()[-800:]}")
