"""A platform's processes are found by the mark they carry, whoever started them and whoever died meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

from hera_workflows.platform.processes import belonging, marked, start, stop

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)",
]


def pids(home: Path, role: str | None = None) -> set[int]:
    return {process.pid for process in belonging(home, role)}


def test_a_started_process_is_found_by_its_home_and_role(tmp_path):
    process = start(SLEEP, home=tmp_path, role="one", log=tmp_path / "log")
    try:
        assert pids(tmp_path) == pids(tmp_path, "one") == {process.pid}
        assert pids(tmp_path, "two") == set()
        assert pids(tmp_path / "other") == set()
    finally:
        stop(tmp_path)


def test_what_a_library_starts_inside_the_block_is_marked_and_the_block_leaves_no_trace(tmp_path):
    with marked(tmp_path, "library"):
        process = subprocess.Popen(SLEEP)
    try:
        assert pids(tmp_path, "library") == {process.pid}
        assert "SLIPWAY_PLATFORM" not in os.environ
    finally:
        stop(tmp_path)


def test_a_grandchild_whose_parent_was_killed_is_stopped_too(tmp_path, wait_until):
    child = "import time; time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = start([sys.executable, "-c", parent], home=tmp_path, role="parent", log=tmp_path / "log")
    wait_until(lambda: len(belonging(tmp_path)) == 2)
    process.kill()
    process.wait()
    (orphan,) = belonging(tmp_path)
    assert stop(tmp_path) == 1
    assert not psutil.pid_exists(orphan.pid) or orphan.status() == psutil.STATUS_ZOMBIE


def test_a_process_that_ignores_the_polite_signal_is_killed(tmp_path, wait_until):
    start(STUBBORN, home=tmp_path, role="stubborn", log=tmp_path / "log")
    wait_until(lambda: "ready" in (tmp_path / "log").read_text())
    assert stop(tmp_path, timeout=0.2) == 1
    assert belonging(tmp_path) == []


def test_stopping_where_nothing_runs_stops_nothing(tmp_path):
    assert stop(tmp_path) == 0
