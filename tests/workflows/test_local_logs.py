"""Logs can be read at any time and never fill the disk or the memory."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workflow_bench import Bench, manifest, step

from hera_workflows.local.capped_log import CAP, CappedLog, log_parts
from hera_workflows.local.log_view import follow_logs
from hera_workflows.local.runs import find_run


def test_a_short_log_is_kept_whole(tmp_path: Path) -> None:
    log = CappedLog(tmp_path / "a.log", cap=10)
    log.write(b"0123456789")
    log.close()
    assert (tmp_path / "a.log").read_bytes() == b"0123456789"


@given(st.lists(st.binary(max_size=25), max_size=30))
def test_the_beginning_and_the_end_are_kept_and_the_rest_is_counted(pieces: list[bytes]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path, whole = Path(folder) / "a.log", b"".join(pieces)
        log = CappedLog(path, cap=10)
        for piece in pieces:
            log.write(piece)
            assert sum(part.stat().st_size for part in log_parts(path)) <= 30
        log.close()
        content = path.read_bytes()
        if len(whole) <= 20:
            assert content == whole
        else:
            note = b"\n[slipway: %d bytes were dropped here]\n" % (len(whole) - 20)
            assert content == whole[:10] + note + whole[-10:]


def test_what_a_killed_runner_left_is_joined_before_the_next_attempt(tmp_path: Path) -> None:
    log = CappedLog(tmp_path / "a.log", cap=4)
    log.write(b"aaaabbbbcc")
    again = CappedLog(tmp_path / "a.log", cap=4)
    again.write(b"new")
    again.close()
    assert (tmp_path / "a.log").read_bytes() == b"aaaa\n[slipway: 2 bytes were dropped here]\nbbccnew"


def test_the_last_line_is_one_printable_line(tmp_path: Path) -> None:
    log = CappedLog(tmp_path / "a.log")
    log.write(b"first\nbad \x1b[31m\xff data\n\n  \n")
    assert log.last_line() == "bad ?[31m\N{REPLACEMENT CHARACTER} data"


@pytest.mark.slow
def test_a_step_that_prints_a_gigabyte_fills_neither_disk_nor_memory(bench: Bench) -> None:
    flood = "import os\nfor _ in range(1024): os.write(1, b'x' * (2**20 - 1) + b'\\n')\nprint('the end')"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = bench.run(manifest(step("a", flood)))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # KiB
    log = bench.root / "run" / "a.log"
    assert (result.status, log.stat().st_size < 2 * CAP + 100, grown < 50_000) == ("Succeeded", True, True)
    assert log.read_bytes().endswith(b"the end\n")


def test_a_log_can_be_read_while_its_step_runs(bench: Bench) -> None:
    import os

    os.mkfifo(bench.workspace / "pipe")
    wait = step(
        "a", "import sys; print('begun', flush=True); open(sys.argv[1] + '/pipe').read()", activeDeadlineSeconds=30
    )
    process = bench.start(manifest(wait))
    with open(bench.workspace / "pipe", "w"):  # opens once the step has printed and waits
        texts = follow_logs(find_run(bench.root, "run"), "a", follow=True)
        assert next(texts) == "begun\n"
    assert (process.wait(timeout=30), list(texts)) == (0, [])


def test_control_characters_in_a_log_do_not_reach_the_terminal(bench: Bench) -> None:
    bench.run(manifest(step("a", "print('\\x1b]0;owned\\x07 ok')")))
    assert "".join(follow_logs(find_run(bench.root, "run"), "a", follow=False)) == "?]0;owned? ok\n"
