"""Returning to the last good version."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from env_world import World, version

from gitops.edit import Done
from gitops.history import reverted
from gitops.hold import freeze, hold, release_hold, unfreeze
from gitops.rollback import rollback
from slipway.environments import Freeze, Hold
from slipway.errors import Rejected
from slipway.operation import parse_message

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def roll_back(world: World, operation_id: str = "rb/1", **options: object) -> Done:
    return rollback(
        world.url,
        "staging",
        "digits",
        now=NOW,
        reason="p95 80 ms; <= 40 allowed",
        operation_id=operation_id,
        **options,  # type: ignore[arg-type]
    )


def revert(world: World, commit: str) -> None:
    work = world.clone()
    world.person("revert", "--no-edit", commit, work=work)
    world.person("push", "--quiet", "origin", "HEAD:main", work=work)


def test_one_commit_sets_the_release_back_and_holds_the_bad_version(anywhere: World):
    anywhere.bump(1)
    bad = anywhere.bump(2).commit
    count = anywhere.commits()
    roll_back(anywhere)
    seen = anywhere.read()
    assert seen.release("staging", "digits") == version(1)
    held = seen.held("staging", version(2))
    assert held is not None
    assert (held.reason, held.since) == ("p95 80 ms; <= 40 allowed", NOW)
    assert anywhere.commits() == count + 1
    operation = parse_message(anywhere.git("log", "-1", "--format=%B", "main"))
    assert operation is not None
    assert (operation.action, operation.version, operation.rollback_of) == ("rollback", version(1), bad)


def test_the_evidence_of_the_old_release_comes_back_with_it(anywhere: World):
    anywhere.bump(1)
    anywhere.bump(2)
    roll_back(anywhere)
    assert anywhere.show("envs/staging/digits/evidence.json") == '{"version": 1}\n'


def test_the_evidence_of_a_judgement_stands_beside_the_rollback(world: World):
    world.bump(1)
    world.bump(2)
    roll_back(world, evidence=b'{"verdict": "FAIL"}\n')
    assert world.show("envs/staging/digits/evidence.json") == '{"verdict": "FAIL"}\n'


def test_a_held_version_is_stepped_over(world: World):
    for number in (1, 2, 3):
        world.bump(number)
    hold(
        world.url,
        Hold(environment="staging", model="digits", number=2, digest=version(2).digest, reason="x", since=NOW),
    )
    roll_back(world)
    assert world.read().release("staging", "digits") == version(1)


def test_a_second_rollback_goes_further_back(world: World):
    for number in (1, 2, 3):
        world.bump(number)
    roll_back(world, "rb/1")
    roll_back(world, "rb/2")
    assert world.read().release("staging", "digits") == version(1)


def test_rolling_back_twice_with_one_operation_is_once(anywhere: World):
    anywhere.bump(1)
    anywhere.bump(2)
    first = roll_back(anywhere)
    again = roll_back(anywhere)
    assert (again.created, again.commit) == (False, first.commit)


def test_a_rollback_to_a_named_version(world: World):
    for number in (1, 2, 3):
        world.bump(number)
    roll_back(world, number=1)
    assert world.read().release("staging", "digits") == version(1)


@pytest.mark.parametrize("number", [3, 9])
def test_a_named_version_that_was_never_released_before_is_refused(world: World, number: int):
    for number_before in (1, 2, 3):
        world.bump(number_before)
    with pytest.raises(Rejected, match=f"digits@{number} was never released to staging, or is served there now"):
        roll_back(world, number=number)


def test_a_named_version_that_the_store_lost_is_refused(world: World):
    for number in (1, 2, 3):
        world.bump(number)
    with pytest.raises(Rejected, match="the store has no digits@1 any more; return to a later version"):
        roll_back(world, number=1, stored=lambda version: version.number != 1)


def test_without_an_earlier_version_the_bad_one_is_held_and_the_caller_told(anywhere: World):
    anywhere.bump(1)
    for _ in range(2):
        with pytest.raises(Rejected, match=r"digits@1 is the only good version .* `slipway retire staging digits`"):
            roll_back(anywhere, run="run-1", verdict="FAIL", source_env_commit="e" * 40)
    seen = anywhere.read()
    assert seen.release("staging", "digits") == version(1)
    assert seen.held("staging", version(1)) is not None
    assert anywhere.subjects()[0] == "Hold digits@1 in staging"
    operation = parse_message(anywhere.git("log", "-1", "--format=%B", "main"))
    assert operation is not None
    assert (operation.run, operation.verdict, operation.source_env_commit) == ("run-1", "FAIL", "e" * 40)


def test_a_model_that_is_not_served_cannot_be_rolled_back(world: World):
    with pytest.raises(Rejected, match="staging serves no version of digits"):
        roll_back(world)


def test_a_freeze_does_not_stop_a_rollback(world: World):
    world.bump(1)
    world.bump(2)
    freeze(world.url, "staging", Freeze(reason="fair"))
    assert roll_back(world).created


def test_a_rollback_of_what_is_not_served_any_more_changes_nothing(world: World):
    world.bump(1)
    world.bump(2)
    done = roll_back(world, expected=version(1))
    assert (done.created, done.reason) == (False, "staging does not serve digits@1 any more")


def test_a_version_that_a_person_reverted_is_known_as_such(anywhere: World):
    anywhere.bump(1)
    revert(anywhere, anywhere.bump(2).commit)
    assert anywhere.read().release("staging", "digits") == version(1)
    assert reverted(anywhere.url, "staging", "digits") == {2}


def test_a_reverted_version_is_stepped_over(world: World):
    world.bump(1)
    revert(world, world.bump(2).commit)
    world.bump(3)
    roll_back(world)
    assert world.read().release("staging", "digits") == version(1)


def test_a_reverted_version_may_come_back_when_a_person_says_so(anywhere: World):
    anywhere.bump(1)
    revert(anywhere, anywhere.bump(2).commit)
    release_hold(anywhere.url, "staging", "digits", 2)
    assert reverted(anywhere.url, "staging", "digits") == set()


def test_a_held_version_may_come_back_when_a_person_says_so(anywhere: World):
    anywhere.bump(1)
    anywhere.bump(2)
    roll_back(anywhere)
    release_hold(anywhere.url, "staging", "digits", 2, by="Ann")
    assert anywhere.read().held("staging", version(2)) is None


def test_releasing_a_hold_that_is_none_lists_those_there_are(world: World):
    world.bump(1)
    world.bump(2)
    roll_back(world)
    with pytest.raises(Rejected, match="digits@5 is not on hold in staging; on hold there: digits@2"):
        release_hold(world.url, "staging", "digits", 5)


def test_a_freeze_is_replaced_and_lifted(world: World):
    freeze(world.url, "production", Freeze(reason="one"))
    freeze(world.url, "production", Freeze(reason="two"))
    frozen = world.read().frozen("production", NOW)
    assert frozen is not None
    assert frozen.reason == "two"
    assert unfreeze(world.url, "production").created
    assert not unfreeze(world.url, "production").created
    assert world.read().frozen("production", NOW) is None
