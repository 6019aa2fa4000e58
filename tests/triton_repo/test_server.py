"""A Triton starts, is found again, and ends without leaving anything behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from triton_toys import SECRET, Keys, Shop

from slipway.errors import Misconfigured, Rejected, TryAgain
from triton_repo.control import TritonControl
from triton_repo.launch import start_time
from triton_repo.ports import Ports, PortTaken, free_ports
from triton_repo.server import find_triton, start_triton
from triton_repo.serving import serve
from triton_repo.store import ModelStore
from triton_repo.wheel import find_library


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def session_of(leader: int) -> set[int]:
    """The living processes of a server's session."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_bytes().rsplit(b")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] not in (b"Z", b"X"):
            found.add(int(folder.name))
    return found


def shared_memory(shop: Shop) -> list[Path]:
    from triton_repo.server import _shm_prefix

    return list(Path("/dev/shm").glob(f"{_shm_prefix(shop.triton.run_dir)}*"))


@pytest.fixture
def busy(shop: Shop) -> Shop:
    """A server with a loaded model, so with a python backend process and shared memory."""
    serve(shop.store, shop.control, shop.repository, [shop.publish(2.0)], verify_key=None, timeout=30)
    assert len(session_of(shop.triton.pid)) == 2
    assert shared_memory(shop)
    return shop


def test_a_stopped_server_leaves_no_process_and_no_shared_memory(busy: Shop) -> None:
    busy.triton.stop()
    assert session_of(busy.triton.pid) == set()
    assert shared_memory(busy) == []
    assert find_triton(busy.triton.run_dir) is None


def test_after_a_kill_stop_removes_what_the_server_could_not(busy: Shop) -> None:
    os.kill(busy.triton.pid, signal.SIGKILL)
    busy.triton.stop()
    assert session_of(busy.triton.pid) == set()
    assert shared_memory(busy) == []


def test_stopping_twice_is_stopping_once(shop: Shop) -> None:
    shop.triton.stop()
    shop.triton.stop()
    assert not shop.triton.alive()


def test_shared_memory_is_bounded(busy: Shop) -> None:
    assert sum(path.stat().st_size for path in shared_memory(busy)) <= 4 << 20


def test_a_running_server_is_kept_not_doubled(shop: Shop) -> None:
    assert start_triton(shop.repository, shop.triton.run_dir, secret=SECRET) == shop.triton


def test_a_dead_server_is_replaced(busy: Shop) -> None:
    os.kill(busy.triton.pid, signal.SIGKILL)
    new = start_triton(busy.repository, busy.triton.run_dir, secret=SECRET)
    try:
        assert new.alive()
        assert session_of(busy.triton.pid) == set()
    finally:
        new.stop(0)


def test_the_server_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from triton_repo.server import start_triton; import os\n"
        "start_triton(Path(sys.argv[1]), Path(sys.argv[2]), secret=None); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "r"), str(tmp_path / "t")], timeout=60, check=False)
    triton = find_triton(tmp_path / "t")
    assert triton is not None
    try:
        assert triton.alive()
        triton.wait_live(5)
    finally:
        triton.stop(0)


def test_another_process_with_the_servers_pid_is_never_killed(shop: Shop) -> None:
    with subprocess.Popen(["sleep", "60"]) as bystander:
        stale = type(shop.triton)(bystander.pid, 1, shop.triton.ports, shop.folder / "elsewhere")
        assert not stale.alive()
        stale.kill()
        stale.stop()
        assert bystander.poll() is None
        bystander.kill()


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        http, metrics = free_ports(2)
        ports = Ports(http=http, grpc=taken.getsockname()[1], metrics=metrics)
        with pytest.raises(PortTaken, match="is in use; end its owner or choose others"):
            start_triton(tmp_path / "r", tmp_path / "t", secret=None, ports=ports)
    assert find_triton(tmp_path / "t") is None


def test_free_ports_are_never_those_of_outgoing_connections() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found = free_ports(50)
    assert len(set(found)) == 50
    assert max(found) < first


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(TryAgain, match=r"Triton ended while starting: .*failed to load all models"):
        start_triton(tmp_path / "r", tmp_path / "t", secret=None, load=["nothing-of-that-name"])
    assert find_triton(tmp_path / "t") is None


def test_two_starters_at_once_start_one_server(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: start_triton(tmp_path / "r", tmp_path / "t", secret=None), range(2))
    try:
        assert first == second
    finally:
        first.stop(0)


def test_two_servers_run_side_by_side(shop: Shop, tmp_path: Path) -> None:
    other = start_triton(tmp_path / "r2", tmp_path / "t2", secret=None)
    try:
        assert shop.triton.alive()
        assert other.ports != shop.triton.ports
    finally:
        other.stop(0)


def test_a_folder_that_a_shell_would_take_apart_serves_like_any_other(
    tmp_path: Path, store: ModelStore, keys: Keys
) -> None:
    folder = tmp_path / "my ünusual; folder's $(touch owned) name"
    triton = start_triton(folder / "models", folder, secret=SECRET)
    try:
        with TritonControl(triton.grpc_address, SECRET) as control:
            shop = Shop(store, keys, tmp_path, triton, control)
            version = shop.publish(2.0)
            serve(store, control, folder / "models", [version], verify_key=None, timeout=30)
            assert control.ready(version.name, version.number)
    finally:
        triton.stop(0)
    assert not list(tmp_path.rglob("owned"))


def test_it_listens_on_this_machine_only(shop: Shop) -> None:
    listening = subprocess.run(["cat", "/proc/net/tcp", "/proc/net/tcp6"], capture_output=True, text=True, check=True)
    ports = {f"{port:04X}" for port in (shop.triton.ports.http, shop.triton.ports.grpc, shop.triton.ports.metrics)}
    rows = [line.split() for line in listening.stdout.splitlines()]
    bound = {row[1] for row in rows if len(row) > 3 and row[3] == "0A" and row[1].split(":")[-1] in ports}
    assert {entry.split(":")[-1] for entry in bound} == ports
    # gRPC's socket is an IPv6 one for ::ffff:127.0.0.1.
    assert {entry.split(":")[0] for entry in bound} <= {"0100007F", "0000000000000000FFFF00000100007F"}


@pytest.mark.parametrize(
    "secret", ["", "short", "with space in the middle", "a\nb" * 10, "x" * 200, "k=v,k2=v2:inference"]
)
def test_a_secret_that_would_change_the_command_line_is_refused(tmp_path: Path, secret: str) -> None:
    with pytest.raises(Rejected, match="the control secret must be"):
        start_triton(tmp_path / "r", tmp_path / "t", secret=secret)


def test_a_record_that_is_nonsense_is_a_setting_to_change(tmp_path: Path) -> None:
    (tmp_path / "triton.json").write_text("[]")
    with pytest.raises(Misconfigured, match="remove it and end that Triton"):
        find_triton(tmp_path)


def test_a_python_without_its_library_is_told_what_to_install() -> None:
    with pytest.raises(Misconfigured, match=r"needs libpython9\.9\.so\.1\.0, .*`apt-get install libpython9\.9`"):
        find_library("libpython9.9.so.1.0", [Path("/nowhere")])


def test_a_process_that_has_ended_has_no_start_time() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert start_time(process.pid) is None
