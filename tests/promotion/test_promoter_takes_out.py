"""What one pass does with a version that fails, with real git and a real Prometheus."""

from __future__ import annotations

from datetime import UTC, datetime

from promotion_world import only, says

from gitops.approvals import requests
from gitops.environment_repo import read
from gitops.history import history
from gitops.hold import freeze
from gitops.rollback import rollback
from slipway.environments import Freeze
from slipway.evidence import parse_evidence, recompute
from slipway.verdict import Verdict
from triton_repo.removal import remove_version


def test_a_version_that_fails_is_taken_out_and_held(world, failing):
    line = only(world.promote())
    snapshot = read(world.url)
    assert (line.verdict, line.action) == (Verdict.FAIL, "rolled back")
    assert snapshot.release(world.first, "toy").number == 1
    assert snapshot.held(world.first, failing).reason.startswith("50 % errors in 600 requests")


def test_a_rollback_carries_the_evidence_against_the_version(world, failing):
    line = only(world.promote())
    evidence = parse_evidence(world.git("show", f"{line.commit}:envs/{world.first}/toy/evidence.json").encode())
    assert (evidence.kind, evidence.version.number, recompute(evidence).verdict) == ("rollback", 2, Verdict.FAIL)


def test_a_rollback_says_in_git_what_it_undid(world, failing):
    line = only(world.promote())
    event = next(history(world.url, world.first, "toy"))
    assert (event.commit, event.before.number, event.after.number) == (line.commit, 2, 1)
    assert event.operation.verdict == "FAIL"


def test_a_freeze_does_not_stop_a_rollback(world, failing):
    freeze(world.url, world.first, Freeze(reason="holidays"))
    assert only(world.promote()).action == "rolled back"


def test_rollback_off_leaves_the_version_to_a_person(world):
    world.release(world.publish())
    world.release(world.publish(rollback="off"))
    world.say(says(300, 300, number=2))
    assert only(world.promote()).action == "nothing"
    assert read(world.url).release(world.first, "toy").number == 2


def test_what_was_returned_to_and_fails_too_is_left_to_a_person(world):
    for _ in range(3):
        world.release(world.publish())
    world.say(says(300, 300, number=3))
    assert only(world.promote()).action == "rolled back"
    world.say(says(300, 300, number=2))
    line = only(world.promote())
    assert (line.verdict, line.action) == (Verdict.FAIL, "nothing")
    assert "look for a cause outside of the model" in line.reason
    assert read(world.url).release(world.first, "toy").number == 2


def test_a_rollback_goes_to_the_last_version_that_the_store_still_has(world):
    for _ in range(3):
        world.release(world.publish())
    remove_version(world.store, "toy", 2)
    world.say(says(300, 300, number=3))
    assert only(world.promote()).action == "rolled back"
    assert read(world.url).release(world.first, "toy").number == 1


def test_a_failing_version_with_nothing_before_it_is_held_and_stays(world):
    version = world.publish()
    world.release(version)
    world.say(says(300, 300))
    line = only(world.promote())
    assert line.action == "held", line
    snapshot = read(world.url)
    assert snapshot.held(world.first, version)
    assert snapshot.release(world.first, "toy") == version


def test_a_held_version_is_not_held_twice(world):
    world.release(world.publish())
    world.say(says(300, 300))
    world.promote()
    before = world.heads()
    assert only(world.promote()).action == "nothing"
    assert world.heads() == before


def test_the_request_of_a_version_that_fails_later_is_closed(world, failing):
    world.say(says(500, number=2))
    world.promote()
    world.say(says(500, 300, number=2))
    done = world.promote()
    assert [request.version for request in done.closed] == [failing]
    assert requests(world.url) == []


def test_the_request_of_a_version_that_a_person_reverted_is_closed(world, failing):
    world.say(says(500, number=2))
    world.promote()
    rollback(world.url, world.first, "toy", now=datetime.now(UTC), reason="looks odd", operation_id="by-hand", by="Ada")
    assert [request.version for request in world.promote().closed] == [failing]
