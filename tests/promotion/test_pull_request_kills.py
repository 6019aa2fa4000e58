"""What two promoters leave on a real Gitea, of which one was killed between two calls or met the other there.

It is what an unbroken one leaves.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from forge_yard import Yard
from gitea_here import PEOPLE
from promotion_world import says

from gitops.approvals import requests
from gitops.environment_repo import read
from gitops.history import history
from slipway.version import ModelVersion

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
VICTIM = Path(__file__).with_name("forge_victim.py")
REPLACING = ("acted", "asked", "marked", "told", "explained", "superseded", "said")
MERGING = ("asked", "checked", "merged")


def die(yard: Yard, point: str) -> bool:
    """Whether the promoter reached that point, and died there."""
    world = yard.world
    places = (world.url, world.store.root, world.prometheus_url, yard.gitea.url, yard.env_project, yard.source_project)
    environment = {**os.environ, "FORGE_TOKEN": yard.gitea.tokens[PEOPLE[0]], "TMPDIR": str(world.folder)}
    command = [sys.executable, str(VICTIM), point, *places]
    return subprocess.run(command, env=environment, timeout=120, check=False).returncode == -signal.SIGKILL


def asks(yard: Yard, model: str) -> None:
    """MODEL@2 passes while MODEL@1 waits for a person."""
    yard.world.release(yard.world.publish(model))
    yard.world.say(says(500, model=model))
    yard.world.promote(model=model)
    yard.world.release(yard.world.publish(model))
    yard.world.say(says(500, number=2, model=model))


def check_replaced(yard: Yard, model: str, point: str) -> None:
    """MODEL@2 has taken MODEL@1's place, and everything was said once."""
    older, newer = yard.pull(1, model), yard.pull(2, model)
    waiting = [(r.version.number, r.changed) for r in requests(yard.world.url) if r.version.name == model]
    assert waiting == [(2, False)], point
    assert (older.state, newer.state) == ("closed", "open"), point
    assert [newer.url in comment for comment in yard.comments(older.number)].count(True) == 1, point
    assert len(yard.comments(newer.number)) == 1, point
    assert yard.forge.statuses(newer.head)["slipway/verdict"].state == "success", point
    assert yard.said(model).url == newer.url, point
    assert read(yard.world.url).holds == [], point


def passes(yard: Yard, model: str) -> ModelVersion:
    """MODEL@1 passes, and needs nobody."""
    version = yard.world.publish(model, approval="automatic")
    yard.world.release(version)
    yard.world.say(says(500, model=model))
    return version


def check_merged(yard: Yard, version: ModelVersion, point: str) -> None:
    """It came into the second environment once, and nothing waits."""
    model = version.name
    events = [event for event in history(yard.world.url, yard.world.second, model) if event.operation is not None]
    assert [(event.operation.action, event.after) for event in events] == [("promote", version)], point
    assert [r for r in requests(yard.world.url) if r.version.name == model] == [], point
    assert yard.pull(1, model).state == "merged", point


def test_killed_while_one_request_takes_anothers_place(yard):
    for number, point in enumerate(REPLACING):
        model = f"toy{number}"
        asks(yard, model)
        assert die(yard, point), point
        yard.world.promote(model=model)
        check_replaced(yard, model, point)


def test_killed_while_the_forge_merges(yard):
    for number, point in enumerate(MERGING):
        version = passes(yard, f"auto{number}")
        assert die(yard, point), point
        yard.world.promote(model=version.name)
        yard.world.promote(model=version.name)
        check_merged(yard, version, point)


def test_two_that_meet_while_one_request_takes_anothers_place(yard):
    for number, point in enumerate(REPLACING):
        model = f"pair{number}"
        asks(yard, model)
        assert yard.world.meet(point, model=model), point
        check_replaced(yard, model, point)


def test_two_that_meet_while_the_forge_merges(yard):
    for number, point in enumerate(MERGING):
        version = passes(yard, f"pair{number}")
        assert yard.world.meet(point, model=version.name), point
        check_merged(yard, version, point)


def decides(yard: Yard, model: str, decide: str) -> ModelVersion:
    """A person closes or merges the request of MODEL@1."""
    version = yard.world.publish(model)
    yard.world.release(version)
    yard.world.say(says(500, model=model))
    yard.world.promote(model=model)
    pull = yard.pull(1, model)
    if decide == "close":
        yard.person().close(pull.number)
    else:
        yard.press_merge(pull)
    return version


def check_decided(yard: Yard, version: ModelVersion, decide: str) -> None:
    """What the person decided was done."""
    snapshot = read(yard.world.url)
    assert [r for r in requests(yard.world.url) if r.version.name == version.name] == [], decide
    assert (snapshot.held(yard.world.second, version) is not None) == (decide == "close")
    assert (snapshot.release(yard.world.second, version.name) == version) == (decide == "merge")


def test_killed_while_it_carries_out_what_a_person_decided(yard):
    for number, decide in enumerate(("close", "merge")):
        version = decides(yard, f"told{number}", decide)
        pull = yard.pull(1, version.name)
        assert die(yard, "settled"), decide
        yard.world.promote(model=version.name)
        check_decided(yard, version, decide)
        assert yard.pull(1, version.name).number == pull.number


def test_two_that_meet_while_they_carry_out_what_a_person_decided(yard):
    for number, decide in enumerate(("close", "merge")):
        version = decides(yard, f"both{number}", decide)
        pull = yard.pull(1, version.name)
        assert yard.world.meet("settled", model=version.name), decide
        check_decided(yard, version, decide)
        assert yard.pull(1, version.name).number == pull.number
