"""What does a machine say that cannot have the cluster? These need none."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# What `make cluster` runs, by somebody who is not root.
UP = """
import os, sys, tests.cluster.up
from tests.cluster.__main__ import main
if os.geteuid() == 0:
    os.seteuid(65534)
sys.argv = ["cluster", "up"]
main()
"""


def call(*arguments: str, **settings: str) -> tuple[int, str]:
    """Exit code, and what stands in stderr."""
    command, environment = [sys.executable, *arguments], {**os.environ, **settings}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stderr


def test_without_root_it_says_so_and_stops(tmp_path: Path) -> None:
    code, said = call("-c", UP, SLIPWAY_CLUSTER_STATE=str(tmp_path / "state"), SLIPWAY_CLUSTER_CACHE=str(tmp_path))
    assert (code, said) == (78, "cluster: the test cluster makes network namespaces and pods: run it as root\n")
    assert list(tmp_path.iterdir()) == []


def test_without_go_it_says_so_and_stops(tmp_path: Path) -> None:
    code, said = call("-m", "tests.cluster", "build", SLIPWAY_CLUSTER_CACHE=str(tmp_path), PATH=str(tmp_path))
    assert code == 78
    assert said.startswith("cluster: go is not on PATH; ")
    assert said.endswith("install Go 1.26 or newer\n")
