"""A file lock keeps others out for as long as its holder lives, and no longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from slipway.errors import TryAgain
from slipway.lock import locked

HOLDER = """
import sys, time
from pathlib import Path
from slipway.lock import locked
with locked(Path(sys.argv[1]), "holding", wait=0):
    print("held", flush=True)
    time.sleep(300)
"""


def test_a_lock_that_another_process_holds_is_waited_for_and_then_named(tmp_path: Path):
    path = tmp_path / "deep" / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TryAgain, match="starting goes on in another process"), locked(path, "starting", wait=0.1):
            pass
        holder.kill()


def test_a_lock_falls_with_its_holder(tmp_path: Path):
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.kill()
        holder.wait()
    with locked(path, "starting", wait=5):
        assert path.exists()


def test_a_lock_whose_file_was_removed_keeps_others_out_all_the_same(tmp_path: Path):
    path = tmp_path / "lock"
    with locked(path, "first", wait=0):
        path.unlink()
        with locked(path, "second", wait=0), pytest.raises(TryAgain), locked(path, "third", wait=0):
            pass
