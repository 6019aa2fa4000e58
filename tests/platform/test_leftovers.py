"""What killed processes left is removed, and what anybody may still use is not."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from hera_workflows.platform.leftovers import sweep


def made(folder: Path, name: str, days: int = 0) -> Path:
    """A folder with something in it that nobody touched for so many days."""
    path = folder / name
    path.mkdir()
    (path / "content").write_text("x")
    when = time.time() - days * 86400
    os.utime(path, (when, when))
    return path


@pytest.mark.parametrize("name", ["slipway-git-abc", "slipway-job-abc", "slipway-champion-abc", "slipway-serve-abc"])
def test_a_scratch_folder_that_nobody_touched_for_a_week_is_removed(tmp_path: Path, name: str):
    left = made(tmp_path, name, 8)
    sweep(tmp_path, tmp_path)
    assert not left.exists()


@pytest.mark.parametrize(("name", "days"), [("slipway-git-abc", 0), ("somebody-else", 8)])
def test_what_may_be_in_use_and_what_is_not_ours_stays(tmp_path: Path, name: str, days: int):
    kept = made(tmp_path, name, days)
    sweep(tmp_path, tmp_path)
    assert kept.exists()


def test_an_empty_folder_of_a_triton_that_was_killed_is_removed_once_none_runs(tmp_path: Path):
    empty, full = tmp_path / "python_env_abcdef", made(tmp_path, "python_env_ghijkl")
    empty.mkdir()
    # A process is a Triton by its name.
    triton = tmp_path / "tritonserver"
    triton.symlink_to("/bin/sleep")
    with subprocess.Popen([triton, "60"]) as running:
        sweep(tmp_path, tmp_path)
        assert empty.exists()
        running.kill()
    others = subprocess.run(["pgrep", "-x", "-u", str(os.getuid()), "tritonserver"], capture_output=True, text=True)
    sweep(tmp_path, tmp_path)
    assert (empty.exists(), full.exists()) == (bool(others.stdout), True)
