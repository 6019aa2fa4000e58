"""The platform's Prometheus scrapes each environment's server, and only listens on this machine."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import tarfile
import urllib.request
from pathlib import Path

import psutil
import pytest
import yaml

from hera_workflows.platform.processes import belonging, stop
from hera_workflows.platform.prometheus import (
    RELEASE,
    answers,
    configuration,
    download,
    ensure_prometheus,
    find_prometheus,
    wait_for_prometheus,
)
from hera_workflows.settings import Platform, Server
from slipway.errors import Misconfigured
from triton_repo.ports import PortTaken, free_ports


@pytest.fixture
def platform(tmp_path):
    port, *metrics = free_ports(3)
    servers = [
        Server(environment=name, http_port=1, grpc_port=1, metrics_port=metric)
        for name, metric in zip(("staging", "production"), metrics, strict=True)
    ]
    yield Platform(home=tmp_path, prometheus_port=port, servers=tuple(servers))
    stop(tmp_path)


def targets(platform: Platform) -> set[tuple[str, str]]:
    with urllib.request.urlopen(f"{platform.prometheus_url}/api/v1/targets") as answer:
        active = json.load(answer)["data"]["activeTargets"]
    return {(target["labels"]["environment"], target["labels"]["job"]) for target in active}


def test_every_target_carries_its_environment(platform):
    content = yaml.safe_load(configuration(platform))
    (job,) = content["scrape_configs"]
    assert [target["labels"]["environment"] for target in job["static_configs"]] == ["staging", "production"]


def test_a_port_that_somebody_else_listens_on_is_said_to_be_taken(platform):
    with socket.create_server(("127.0.0.1", platform.prometheus_port)):
        assert ensure_prometheus(platform)
        with pytest.raises(PortTaken, match=f"on port {platform.prometheus_port}: .*address already in use"):
            wait_for_prometheus(platform)


def test_it_gets_ready_and_finds_each_environment(platform, wait_until):
    assert ensure_prometheus(platform)
    wait_for_prometheus(platform)
    # Prometheus takes up its targets some seconds after it calls itself ready.
    wait_until(lambda: targets(platform) == {("staging", "triton"), ("production", "triton")})


def test_one_that_runs_is_kept(platform):
    ensure_prometheus(platform)
    wait_for_prometheus(platform)
    (before,) = belonging(platform.home)
    assert not ensure_prometheus(platform)
    assert belonging(platform.home) == [before]


def test_one_that_was_killed_is_started_again_on_its_port(platform):
    ensure_prometheus(platform)
    wait_for_prometheus(platform)
    belonging(platform.home)[0].kill()
    psutil.wait_procs(belonging(platform.home), timeout=10)
    assert ensure_prometheus(platform)
    wait_for_prometheus(platform)
    assert answers(platform.prometheus_port)


def test_it_listens_on_loopback_only(platform):
    ensure_prometheus(platform)
    wait_for_prometheus(platform)
    (process,) = belonging(platform.home)
    listening = {c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def release(folder: Path) -> tuple[str, str]:
    """A release archive with a program that prints its version: its URL and sha256."""
    program = folder / "prometheus"
    program.write_text("#!/bin/sh\necho 2.28.1\n")
    program.chmod(0o755)
    archive = folder / "release.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(program, f"{RELEASE}/prometheus")
    return archive.as_uri(), hashlib.sha256(archive.read_bytes()).hexdigest()


def test_a_release_archive_with_the_pinned_bytes_is_unpacked(tmp_path):
    url, sha256 = release(tmp_path)
    program = download(url, sha256, tmp_path / "cache" / "prometheus")
    assert subprocess.run([program], check=True, capture_output=True, text=True).stdout == "2.28.1\n"


def test_an_archive_with_other_bytes_is_refused_and_leaves_nothing(tmp_path):
    url, _ = release(tmp_path)
    with pytest.raises(Misconfigured, match="has sha256"):
        download(url, "0" * 64, tmp_path / "cache" / "prometheus")
    assert list((tmp_path / "cache").iterdir()) == []


def test_where_prometheus_cannot_be_had_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    # Nobody listens there, so that nothing is downloaded whatever the network allows.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(Misconfigured, match=r"install Prometheus 2\.28 or later"):
        find_prometheus()
