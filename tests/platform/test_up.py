"""`slipway up` brings everything to life, whatever happened before; `slipway down` leaves nothing alive."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml
from click.testing import CliRunner

from hera_workflows.cli.platform import down as down_command
from hera_workflows.cli.platform import up as up_command
from hera_workflows.platform.processes import belonging
from hera_workflows.platform.prometheus import answers
from hera_workflows.platform.reconcile import reconcile
from hera_workflows.platform.status import read_index
from hera_workflows.platform.up import POINTS, down, find_project, up
from hera_workflows.settings import Platform, read_platform
from slipway.errors import Misconfigured

KILLED_UP = """
import os, signal, sys
from pathlib import Path
from hera_workflows.platform.up import up
up(Path(sys.argv[1]), at=lambda point: os.kill(os.getpid(), signal.SIGKILL) if point == sys.argv[2] else None)
"""


def programs(home: Path) -> list[str]:
    """The names of what runs for a platform, sorted."""
    return sorted(Path(process.cmdline()[0]).name for process in belonging(home))


def all_answer(platform: Platform) -> bool:
    secret = platform.secret_file.read_text()
    return answers(platform.prometheus_port) and all(
        read_index(server.http_port, secret) is not None for server in platform.servers
    )


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=10)


def killed_up(project: Path, point: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_UP, str(project), point], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL


def test_there_is_a_triton_for_each_environment_and_one_prometheus(living):
    assert programs(living.home) == ["prometheus", "tritonserver", "tritonserver"]
    assert [server.environment for server in living.servers] == ["staging", "production"]
    assert all_answer(living)


def test_what_runs_is_written_down(living):
    assert read_platform(living.home) == living


def test_the_folder_and_the_keys_are_for_their_owner_only(living):
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (living.home, living.signing_key, living.secret_file)}
    assert list(modes.values()) == [0o700, 0o600, 0o600]


def test_git_does_not_pick_the_folder_up(living):
    subprocess.run(["git", "init", "-q", str(living.home.parent)], check=True)
    listed = subprocess.run(
        ["git", "-C", str(living.home.parent), "status", "--porcelain", "-uall"], check=True, capture_output=True
    )
    assert listed.stdout == b""


def test_every_server_listens_on_loopback_only(living):
    connections = [c for process in belonging(living.home) for c in process.net_connections()]
    listening = {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
    # Triton's gRPC port is an IPv6 socket for the same address.
    assert listening == {"127.0.0.1", "::ffff:127.0.0.1"}


def test_model_control_wants_the_secret(living):
    with pytest.raises(Misconfigured, match="does not take the control secret"):
        read_index(living.servers[0].http_port, "another-secret-of-decent-length")


def test_up_again_keeps_every_process(living):
    before = {process.pid for process in belonging(living.home)}
    again, _ = up(living.home.parent)
    assert again == living
    assert {process.pid for process in belonging(living.home)} == before


def test_up_starts_what_was_killed_on_its_old_port(project):
    platform, _ = up(project)
    kill(belonging(platform.home))
    again, _ = up(project)
    assert again == platform
    assert all_answer(again)


@pytest.mark.slow
def test_a_port_that_somebody_took_meanwhile_is_replaced(project):
    platform, _ = up(project)
    down(platform.home)
    with socket.create_server(("127.0.0.1", platform.servers[0].http_port)):
        again, _ = up(project)
        assert again.servers[0].http_port != platform.servers[0].http_port
        assert again.servers[1] == platform.servers[1]
        assert all_answer(again)


@pytest.mark.slow
def test_a_port_that_somebody_takes_after_it_was_chosen_is_not_insisted_on(project):
    taken: list[socket.socket] = []

    def take(point: str) -> None:
        if point == "prometheus started" and not taken:
            config = yaml.safe_load((project / ".slipway/prometheus/prometheus.yml").read_text())
            target = config["scrape_configs"][0]["static_configs"][0]["targets"][0]
            taken.append(socket.create_server(("127.0.0.1", int(target.rpartition(":")[2]))))

    lines: list[str] = []
    platform, _ = up(project, say=lines.append, at=take)
    (theirs,) = taken
    with theirs:
        assert theirs.getsockname()[1] not in {server.metrics_port for server in platform.servers}
        assert "somebody took a port meanwhile; trying others" in lines
        assert all_answer(platform)


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_up_that_was_killed_is_finished_by_the_next_one(project, point):
    killed_up(project, point)
    platform, _ = up(project)
    assert programs(platform.home) == ["prometheus", "tritonserver", "tritonserver"]
    assert all_answer(platform)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["prometheus started", "servers live"])
def test_down_after_a_killed_up_leaves_no_process(project, point):
    killed_up(project, point)
    assert down(project / ".slipway") > 0
    assert belonging(project / ".slipway") == []


def test_reconcile_starts_a_server_that_was_killed(project):
    platform, _ = up(project)
    server = platform.servers[0]
    kill(belonging(platform.home, "triton"))
    reconcile(platform, server.environment)
    assert read_index(server.http_port, platform.secret_file.read_text()) == {}


@pytest.mark.slow
def test_two_platforms_run_side_by_side_and_one_goes_down_alone(project, living):
    platform, _ = up(project)
    used = [
        {other.prometheus_port, *(port for s in other.servers for port in (s.http_port, s.grpc_port, s.metrics_port))}
        for other in (platform, living)
    ]
    assert used[0].isdisjoint(used[1])
    down(platform.home)
    assert belonging(platform.home) == []
    assert all_answer(living)


def test_down_with_purge_removes_the_folder(project):
    platform, _ = up(project)
    down(platform.home, purge=True)
    assert not platform.home.exists()


def test_purge_asks_before_it_removes(project):
    platform, _ = up(project)
    asked = CliRunner().invoke(down_command, ["--purge", "--home", str(platform.home)], input="n\n")
    assert "Remove" in asked.output
    assert all_answer(platform)


def test_a_project_is_found_from_below(project):
    deep = project / "models" / "digits"
    deep.mkdir()
    assert find_project(deep) == project


def test_outside_a_project_up_says_how_to_begin(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Misconfigured, match=r"not inside a project.*slipway init"):
        CliRunner().invoke(up_command, standalone_mode=False, catch_exceptions=False, obj=None)


def test_a_folder_that_cannot_be_written_is_named(project):
    (project / ".slipway").write_text("a file")
    with pytest.raises(Misconfigured, match=r"\.slipway cannot be written .*--home"):
        up(project)
    (project / ".slipway").unlink()


def test_up_takes_its_folder_from_the_environment(project, monkeypatch):
    place = project / "a file"
    place.touch()
    monkeypatch.setenv("SLIPWAY_HOME", str(place))
    with pytest.raises(Misconfigured, match=r"a file cannot be written"):
        CliRunner().invoke(
            up_command, ["--project", str(project)], standalone_mode=False, catch_exceptions=False, obj=None
        )


@pytest.mark.slow
def test_servers_follow_the_list_of_environments(project, tmp_path):
    platform, _ = up(project)
    clone = tmp_path / "clone"
    git = ["git", "-C", str(clone), "-c", "user.name=Ada", "-c", "user.email=ada@localhost"]
    subprocess.run(["git", "clone", "-q", str(platform.env_repo), str(clone)], check=True)
    (clone / "envs" / "environments.yaml").write_text(
        "environments:\n- {name: test, accepts: direct}\n- {name: staging, after: test}\n"
    )
    subprocess.run([*git, "commit", "-qam", "Test first, production elsewhere"], check=True)
    pushed = subprocess.run([*git, "push", "origin", "main"], check=True, capture_output=True, text=True)
    assert "environments.yaml changed; `slipway up` starts and stops servers" in pushed.stderr
    again, _ = up(project)
    assert [server.environment for server in again.servers] == ["test", "staging"]
    assert programs(again.home) == ["prometheus", "tritonserver", "tritonserver"]
    assert all_answer(again)


@pytest.mark.slow
def test_two_ups_at_once_start_everything_once(project):
    command = [sys.executable, "-m", "hera_workflows", "up", "--project", str(project)]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [one.wait(60) for one in both] == [0, 0]
    assert programs(project / ".slipway") == ["prometheus", "tritonserver", "tritonserver"]
