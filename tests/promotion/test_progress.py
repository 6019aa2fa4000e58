"""How far a version came, as the commit that it was trained from says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from gitops.environment_repo import Snapshot
from gitops.history import Event, Past
from hera_workflows.promoter.progress import Progress, progress
from hera_workflows.promoter.scene import Line, Scene
from slipway.environments import Environment, Environments, Hold
from slipway.operation import Operation
from slipway.verdict import Verdict
from slipway.version import ModelVersion

NOW = datetime(2026, 3, 1, tzinfo=UTC)
VERSION = ModelVersion("digits", 3, "sha256:" + "a" * 64)
OLDER = ModelVersion("digits", 2, "sha256:" + "b" * 64)
ENVIRONMENTS = Environments(
    environments=[Environment(name="staging", accepts="direct"), Environment(name="production", after="staging")]
)
READY = Line("staging", VERSION, "production", Verdict.PASS, "waiting", "", ready=True)


def scene(serves: dict[str, ModelVersion], *holds: Hold, events: tuple[Event, ...] = (), taken_out=None) -> Scene:
    releases = {(environment, version.name): version for environment, version in serves.items()}
    snapshot = Snapshot("c" * 40, ENVIRONMENTS, releases, {}, list(holds), {})
    return Scene(snapshot, Past(events, {}, {}, taken_out or {}), (), {})


def test_a_version_that_is_not_ready_yet_is_pending():
    said = progress(scene({"staging": VERSION}), VERSION, [replace(READY, ready=False)])
    assert said == Progress("pending", "released to staging, not served there yet")


def test_a_version_that_is_ready_is_served():
    assert progress(scene({"staging": VERSION}), VERSION, [READY]) == Progress("success", "served in staging")


def test_a_request_that_waits_is_linked():
    said = progress(scene({"staging": VERSION}), VERSION, [replace(READY, page="https://forge/pulls/4")])
    assert said == Progress("success", "served in staging; waits for approval for production", "https://forge/pulls/4")


def test_a_version_that_fails_where_it_stays_is_a_failure():
    said = progress(scene({"staging": VERSION}), VERSION, [replace(READY, verdict=Verdict.FAIL, stays=True)])
    assert said == Progress("failure", "fails in staging, and stays there until a person acts")


def test_a_version_that_could_not_be_rolled_back_yet_is_a_failure():
    said = progress(scene({"staging": VERSION}), VERSION, [replace(READY, verdict=Verdict.FAIL)])
    assert said == Progress("failure", "fails in staging, and is to be rolled back")


def test_the_furthest_environment_counts():
    both = {"staging": VERSION, "production": VERSION}
    lines = [READY, replace(READY, environment="production", target=None)]
    assert progress(scene(both), VERSION, lines) == Progress("success", "served in production")


def test_a_version_that_was_rolled_back_says_why():
    operation = Operation("x", "rollback", "staging", OLDER)
    event = Event("e" * 40, NOW, "slipway", "", operation, "staging", "digits", VERSION, OLDER)
    hold = Hold.of(VERSION, "staging", "50 % errors in 600 requests", NOW)
    said = progress(scene({"staging": OLDER}, hold, events=(event,)), VERSION, [])
    assert said == Progress("failure", "rolled back in staging: 50 % errors in 600 requests")


def test_a_rejected_version_says_by_whom():
    hold = Hold.of(VERSION, "production", "rejected by Ada: not this week", NOW)
    said = progress(scene({"staging": VERSION}, hold), VERSION, [READY])
    assert said == Progress("failure", "held in production: rejected by Ada: not this week")


def test_a_version_that_a_person_reverted_says_so():
    found = scene({"staging": OLDER}, taken_out={("staging", "digits"): {3}})
    assert progress(found, VERSION, []) == Progress("failure", "taken out of staging by a person")


def test_a_version_that_a_newer_one_replaced_keeps_what_was_said():
    assert progress(scene({"staging": VERSION}), OLDER, []) is None
