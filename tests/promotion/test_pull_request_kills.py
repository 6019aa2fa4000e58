"""A promoter that is killed between two calls of a real Gitea and run again leaves what an unbroken one leaves."""

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

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
VICTIM = Path(__file__).with_name("forge_victim.py")


def die(yard: Yard, point: str) -> bool:
    """Whether the promoter reached that point, and died there."""
    world = yard.world
    places = (world.url, world.store.root, world.prometheus_url, yard.gitea.url, yard.env_project, yard.source_project)
    environment = {**os.environ, "FORGE_TOKEN": yard.gitea.tokens[PEOPLE[0]]}
    command = [sys.executable, str(VICTIM), point, *places]
    return subprocess.run(command, env=environment, timeout=120, check=False).returncode == -signal.SIGKILL


def asks(yard: Yard, model: str) -> None:
    """MODEL@2 passes while MODEL@1 waits for a person."""
    yard.world.release(yard.world.publish(model))
    yard.world.say(says(500, model=model))
    yard.world.promote(model=model)
    yard.world.release(yard.world.publish(model))
    yard.world.say(says(500, number=2, model=model))


def test_killed_while_one_request_takes_anothers_place(yard):
    for number, point in enumerate(("acted", "asked", "marked", "told", "explained", "superseded", "said")):
        model = f"toy{number}"
        asks(yard, model)
        older = yard.pull(1, model)
        assert die(yard, point), point
        yard.world.promote(model=model)
        newer = yard.pull(2, model)
        waiting = [(r.version.number, r.changed) for r in requests(yard.world.url) if r.version.name == model]
        assert waiting == [(2, False)], point
        assert (yard.forge.request(older.branch).state, newer.state) == ("closed", "open"), point
        assert [newer.url in comment for comment in yard.comments(older.number)].count(True) == 1, point
        assert len(yard.comments(newer.number)) == 1, point
        assert yard.forge.statuses(newer.head)["slipway/verdict"].state == "success", point
        assert yard.said(model).url == newer.url, point
    assert read(yard.world.url).holds == []


def test_killed_while_the_forge_merges(yard):
    for number, point in enumerate(("asked", "checked", "merged")):
        model = f"auto{number}"
        version = yard.world.publish(model, approval="automatic")
        yard.world.release(version)
        yard.world.say(says(500, model=model))
        assert die(yard, point), point
        yard.world.promote(model=model)
        yard.world.promote(model=model)
        assert read(yard.world.url).release(yard.world.second, model) == version, point
        assert [r for r in requests(yard.world.url) if r.version.name == model] == [], point
        assert yard.pull(1, model).state == "merged", point


def test_killed_while_it_carries_out_what_a_person_decided(yard):
    for number, decide in enumerate(("close", "merge")):
        model = f"told{number}"
        version = yard.world.publish(model)
        yard.world.release(version)
        yard.world.say(says(500, model=model))
        yard.world.promote(model=model)
        pull = yard.pull(1, model)
        if decide == "close":
            yard.person().close(pull.number)
        else:
            yard.press_merge(pull)
        assert die(yard, "settled"), decide
        yard.world.promote(model=model)
        snapshot = read(yard.world.url)
        assert [r for r in requests(yard.world.url) if r.version.name == model] == [], decide
        assert (snapshot.held(yard.world.second, version) is not None) == (decide == "close")
        assert (snapshot.release(yard.world.second, model) == version) == (decide == "merge")
        assert yard.pull(1, model).number == pull.number
