"""kill -9 at every named point of every write: the repository is whole, and the next try ends it once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from env_world import World
from gitops_victim import act

from gitops.edit import POINTS

HERE = Path(__file__).parent
# Commits on main and open requests once the write is done.
WRITES = {"bump": (4, 0), "propose": (3, 1), "approve": (4, 0), "rollback": (4, 0), "retire": (4, 0)}


def victim(world: World, what: str, point: str) -> int:
    environment = {**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parents[1]}", "TMPDIR": str(world.tmp)}
    command = [sys.executable, str(HERE / "gitops_victim.py"), str(world.repo), what, point]
    return subprocess.run(command, env=environment, timeout=60).returncode


@pytest.mark.slow
@pytest.mark.parametrize("what", WRITES)
def test_a_write_killed_at_any_point_is_ended_once_by_the_next(world: World, what: str):
    world.bump(1)
    world.bump(2)
    if what == "approve":
        world.propose(2)
    start = world.git("for-each-ref", "--format=update %(refname) %(objectname)", "refs/heads").splitlines()
    for point in POINTS:
        assert victim(world, what, point) == -signal.SIGKILL, point
        world.git("fsck", "--strict")
        act(world, what, lambda point: None)
        act(world, what, lambda point: None)
        assert (world.commits(), len(world.branches())) == WRITES[what], point
        assert world.read().broken == {}
        for ref in world.git("for-each-ref", "--format=%(refname)", "refs/heads").splitlines():
            world.git("update-ref", "-d", ref)
        for line in start:
            _, ref, commit = line.split(" ")
            world.git("update-ref", ref, commit)


def test_a_write_that_is_not_killed_leaves_no_scratch_folder(world: World):
    world.bump(1)
    world.bump(2)
    assert victim(world, "bump", "nowhere") == 0
    assert not list(world.tmp.glob("slipway-git-*"))
