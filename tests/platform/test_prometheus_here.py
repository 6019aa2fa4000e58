"""The platform's Prometheus scrapes each environment's server, and only listens on this machine."""

from __future__ import annotations

import json
import urllib.request

import psutil
import pytest
import yaml

from hera_workflows.platform.processes import belonging, stop
from hera_workflows.platform.prometheus import answers, configuration, ensure_prometheus, wait_for_prometheus
from hera_workflows.settings import Platform, Server
from triton_repo.server import free_ports


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
