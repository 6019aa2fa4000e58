"""People's code in a process of its own: however it behaves, it ends in time and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

from hera_workflows.learning.contained import Ended, run_contained

DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        # Nothing that was inherited gives it away.
        os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(300)", "MARK"], {})
    os._exit(0)
os.wait()
"""


def run(folder: Path, program: str, timeout: float = 30) -> Ended:
    (folder / "program.py").write_text(program)
    return run_contained([sys.executable, "program.py"], timeout=timeout, cwd=folder, max_output=1000)


def living(mark: str) -> list[int]:
    """The processes with that word on their command line."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if mark in (process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def test_a_daemon_that_left_group_session_and_parent_is_killed(tmp_path: Path):
    assert run(tmp_path, DAEMON.replace("MARK", str(tmp_path))).code == 0
    assert living(str(tmp_path)) == []


def test_a_daemon_of_a_program_that_is_stopped_at_its_time_limit_is_killed_too(tmp_path: Path):
    ended = run(tmp_path, DAEMON.replace("MARK", str(tmp_path)) + "\ntime.sleep(300)", timeout=2)
    assert ended.code is None
    assert living(str(tmp_path)) == []


def test_processes_that_were_there_before_are_left_alone(tmp_path: Path):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    try:
        run(tmp_path, "pass")
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_program_that_ignores_sigterm_ends_at_its_time_limit(tmp_path: Path):
    begin = time.monotonic()
    ended = run(tmp_path, "import signal, time\nsignal.signal(15, signal.SIG_IGN)\ntime.sleep(300)", timeout=1)
    assert (ended.code, time.monotonic() - begin < 10) == (None, True)


def test_a_program_that_reads_from_the_terminal_finds_the_end_of_input(tmp_path: Path):
    assert run(tmp_path, "import sys\nsys.exit(7 if sys.stdin.read() == '' else 1)").code == 7
