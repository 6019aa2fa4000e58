"""A promoter that is killed anywhere and run again, or meets another anywhere, ends where an unbroken one ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from promotion_world import World, says

from gitops import edit
from gitops.approvals import requests
from gitops.history import history
from gitops.rollback import rollback
from hera_workflows import promoter

VICTIM = Path(__file__).with_name("promotion_victim.py")
POINTS = (*promoter.POINTS, *(f"edit {point}" for point in edit.POINTS))
ACTING = set(POINTS) - {"closed"}


def asks(world: World) -> set[str]:
    """toy@1 passes and waits for a person."""
    world.release(world.publish())
    world.say(says(500))
    return ACTING


def merges(world: World) -> set[str]:
    """toy@1 passes and needs nobody."""
    world.release(world.publish(approval="automatic"))
    world.say(says(500))
    return ACTING


def rolls_back(world: World) -> set[str]:
    """toy@2 waits for the second environment, and fails in the first."""
    world.release(world.publish())
    world.release(world.publish())
    world.say(says(500, number=2))
    world.promote()
    world.say(says(500, 300, number=2))
    return set(POINTS)


def closes(world: World) -> set[str]:
    """toy@2 waits for the second environment, and a person takes it out of the first."""
    world.release(world.publish())
    world.release(world.publish())
    world.say(says(500, number=2))
    world.promote()
    now = datetime.now(UTC)
    rollback(world.url, world.first, "toy", now=now, reason="odd", operation_id="by-hand", by="Ada")
    world.say("")
    return {"read", "measured", "closed", "judged", "decided"}


def outcome(world: World) -> object:
    """What is released, what waits, and which operations main records: everything but times and ids."""
    files = set(world.git("ls-tree", "-r", "--name-only", "main").splitlines())
    releases = {path: world.git("show", f"main:{path}") for path in files if path.endswith("release.env")}
    operations = [(e.operation.action, e.environment, e.after) for e in history(world.url) if e.operation]
    return files, releases, [(r.environment, r.version) for r in requests(world.url)], operations


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [asks, merges, rolls_back, closes], ids=lambda scenario: scenario.__name__)
def test_killed_at_each_point_and_run_again_ends_in_the_same_state(world, scenario):
    reachable = scenario(world)
    unbroken = _copy(world, "unbroken")
    unbroken.promote()
    killed_at = set()
    for number, point in enumerate(POINTS):
        victim = _copy(world, f"victim-{number}")
        command = [sys.executable, str(VICTIM), point, victim.url, victim.store.root, victim.prometheus_url]
        where = {**os.environ, "TMPDIR": str(world.folder)}  # what a killed process leaves goes with the test
        if subprocess.run(command, env=where, timeout=60, check=False).returncode == -signal.SIGKILL:
            killed_at.add(point)
        victim.promote()
        assert outcome(victim) == outcome(unbroken), point
    assert killed_at == reachable


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [asks, merges, rolls_back, closes], ids=lambda scenario: scenario.__name__)
def test_two_that_meet_at_any_point_end_in_the_same_state(world, scenario):
    reachable = scenario(world)
    unbroken = _copy(world, "unbroken")
    unbroken.promote()
    met_at = set()
    # Not within an edit: there the second would stand in line behind the first, which here waits for it.
    for number, point in enumerate(promoter.POINTS):
        both = _copy(world, f"both-{number}")
        if both.meet(point):
            met_at.add(point)
        assert outcome(both) == outcome(unbroken), point
    assert met_at == reachable & set(promoter.POINTS)


def _copy(world: World, name: str) -> World:
    """The same world with an env repo of its own."""
    folder = world.folder / name
    shutil.copytree(world.url, folder)
    return replace(world, url=str(folder))
