"""Which Prometheus watches the platform's servers, and is it running?"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from hera_workflows.platform.files import write
from hera_workflows.platform.processes import belonging, start, stop
from hera_workflows.settings import Platform
from slipway.errors import Misconfigured, SlipwayError, TryAgain

__all__ = ["answers", "configuration", "download", "ensure_prometheus", "find_prometheus", "wait_for_prometheus"]

ROLE = "prometheus"
RELEASE = "prometheus-2.28.1.linux-amd64"
ARCHIVE = f"https://github.com/prometheus/prometheus/releases/download/v2.28.1/{RELEASE}.tar.gz"
SHA256 = "91dd91e13f30fe520e01175ca1027dd09a458d4421a584ba557ba88b38803f27"


def configuration(platform: Platform) -> bytes:
    """prometheus.yml: one target for each environment's Triton, scraped every second."""
    import yaml

    targets = [
        {"targets": [f"127.0.0.1:{server.metrics_port}"], "labels": {"environment": server.environment}}
        for server in platform.servers
    ]
    content = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "triton", "static_configs": targets}],
    }
    return yaml.safe_dump(content, sort_keys=False).encode()


def ensure_prometheus(platform: Platform) -> bool:
    """Have a Prometheus on the platform's port that scrapes its servers; True when it had to be started.

    Does not wait for it. Raises Misconfigured without a Prometheus binary.
    """
    folder = platform.home / "prometheus"
    config, wanted = folder / "prometheus.yml", configuration(platform)
    changed = not config.is_file() or config.read_bytes() != wanted
    if changed:
        write(config, wanted)
    running = belonging(platform.home, ROLE)
    if running and answers(platform.prometheus_port):
        if changed:
            running[0].send_signal(signal.SIGHUP)
        return False
    stop(platform.home, ROLE)
    start(
        [
            str(find_prometheus()),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=7d",
            "--storage.tsdb.retention.size=512MB",
            f"--web.listen-address=127.0.0.1:{platform.prometheus_port}",
            "--log.level=warn",
        ],
        home=platform.home,
        role=ROLE,
        log=folder / "prometheus.log",
    )
    return True


def answers(port: int) -> bool:
    """Whether a Prometheus on that port says that it is ready for queries."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def wait_for_prometheus(platform: Platform, *, timeout: float = 30) -> None:
    """Return once Prometheus is ready; raises TryAgain, with its last words, when it dies or takes too long.

    PortTaken when it died since somebody else listens on its port.
    """
    from triton_repo.ports import PortTaken

    log = platform.home / "prometheus" / "prometheus.log"
    deadline = time.monotonic() + timeout
    while not (answers(platform.prometheus_port) and belonging(platform.home, ROLE)):
        if (ended := not belonging(platform.home, ROLE)) or time.monotonic() > deadline:
            last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            why = PortTaken if ended and "address already in use" in last[0] else TryAgain
            raise why(f"Prometheus did not get ready on port {platform.prometheus_port}: {last[0]} (see {log})")
        time.sleep(0.05)


def find_prometheus() -> Path:
    """The Prometheus binary: on PATH, else installed with apt (as root), else a checked release archive.

    Raises Misconfigured, saying how to install it, when none of the three ways is open.
    """
    kept = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway" / RELEASE / "prometheus"
    if found := shutil.which("prometheus"):
        return Path(found)
    if kept.is_file():
        return kept
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", "prometheus"]):
            # Whoever else installs something now is waited for.
            command = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120", *arguments]
            subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=False
            )
        if found := shutil.which("prometheus"):
            return Path(found)
    try:
        return download(ARCHIVE, SHA256, kept)
    except (urllib.error.URLError, OSError, tarfile.TarError) as error:
        raise Misconfigured(
            f"no prometheus on PATH, and {ARCHIVE} cannot be had ({error}); "
            "install Prometheus 2.28 or later (apt-get install prometheus) and put it on PATH"
        ) from None


def download(archive: str, sha256: str, kept: Path) -> Path:
    """Put the prometheus of a release archive at `kept`, once its bytes are the expected ones; else Misconfigured."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
        fetched = Path(scratch) / "archive.tar.gz"
        with urllib.request.urlopen(archive, timeout=60) as answer, fetched.open("wb") as file:
            shutil.copyfileobj(answer, file)
        with fetched.open("rb") as file:
            seen = hashlib.file_digest(file, "sha256").hexdigest()
        if seen != sha256:
            raise Misconfigured(f"{archive} has sha256 {seen}, not {sha256}; install Prometheus and put it on PATH")
        with tarfile.open(fetched) as tar:
            program = tar.extractfile(f"{RELEASE}/prometheus")
            if program is None:
                raise Misconfigured(f"{archive} holds no program; install Prometheus and put it on PATH")
            with program, (unpacked := Path(scratch) / "prometheus").open("wb") as file:
                shutil.copyfileobj(program, file)
        unpacked.chmod(0o755)
        unpacked.replace(kept)
    return kept


if __name__ == "__main__":
    try:
        print(f"Prometheus: {find_prometheus()}")
    except SlipwayError as error:
        print(f"slipway: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
