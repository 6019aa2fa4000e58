"""What follows from a verdict, one rule a test."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from slipway.environments import Freeze, Hold
from slipway.judge import Judgement
from slipway.promotion import Merge, Nothing, Open, Rollback, Situation, Target, Wait, next_step
from slipway.spec import Promotion
from slipway.verdict import Outcome, Verdict
from slipway.version import ModelVersion


def version(number: int) -> ModelVersion:
    return ModelVersion("digits", number, "sha256:" + f"{number:x}" * 64)


def hold_in(environment: str) -> Hold:
    since = datetime(2026, 3, 1, tzinfo=UTC)
    return Hold(environment=environment, model="digits", number=3, digest=version(3).digest, reason="slow", since=since)


PRODUCTION = Target(
    environment="production",
    accepts="pull-request",
    serves=version(2),
    hold=None,
    freeze=None,
    left=False,
    request_open=False,
)


def situation(verdict: Verdict = Verdict.PASS, **changes: object) -> Situation:
    start = Situation(
        environment="staging",
        version=version(3),
        policy=Promotion(),
        validation=Outcome.PASS,
        judgement=Judgement(verdict, (), "the numbers"),
        hold=None,
        target=PRODUCTION,
    )
    return replace(start, **changes)


def with_target(verdict: Verdict = Verdict.PASS, policy: Promotion | None = None, **changes: object) -> Situation:
    return situation(verdict, target=replace(PRODUCTION, **changes), policy=policy or Promotion())


AUTOMATIC = Promotion(approval="automatic")


def test_a_version_that_passes_asks_for_the_next_environment():
    assert next_step(situation()) == Open("production", "the numbers")


def test_a_version_that_is_on_hold_where_it_is_served_goes_no_further():
    said = "held in staging: slow; `slipway release-hold staging digits@3` lets it go on"
    assert next_step(situation(hold=hold_in("staging"))) == Nothing(said)


@pytest.mark.parametrize("verdict", [Verdict.INSUFFICIENT_DATA, Verdict.NO_DATA, Verdict.ERROR])
def test_everything_between_pass_and_fail_waits(verdict):
    assert next_step(situation(verdict)) == Wait("the numbers")


def test_a_version_that_fails_is_rolled_back():
    assert next_step(situation(Verdict.FAIL)) == Rollback("the numbers")


def test_a_version_that_came_back_in_the_place_of_a_newer_one_and_fails_is_left_to_a_person():
    step = next_step(situation(Verdict.FAIL, returned=True))
    assert isinstance(step, Nothing)
    assert "fails, too (the numbers)" in step.reason
    assert "`slipway rollback staging digits` goes back further" in step.reason


def test_a_version_that_fails_in_the_last_environment_is_rolled_back():
    assert next_step(situation(Verdict.FAIL, target=None)) == Rollback("the numbers")


def test_a_freeze_does_not_stop_a_rollback():
    assert isinstance(next_step(with_target(Verdict.FAIL, freeze=Freeze(reason="holidays"))), Rollback)


def test_rollback_off_leaves_a_failure_to_a_person():
    step = next_step(situation(Verdict.FAIL, policy=Promotion(rollback="off")))
    assert step == Nothing("model.yaml says rollback: off; run `slipway rollback staging digits`")


def test_a_failing_version_that_is_held_already_is_not_rolled_back_again():
    assert isinstance(next_step(situation(Verdict.FAIL, hold=hold_in("staging"))), Nothing)


def test_the_last_environment_is_the_end():
    assert next_step(situation(target=None)) == Nothing("staging is the last environment")


def test_the_last_environment_still_waits_for_its_verdict():
    assert next_step(situation(Verdict.INSUFFICIENT_DATA, target=None)) == Wait("the numbers")


def test_what_the_target_has_already_is_left_alone():
    assert next_step(with_target(serves=version(3))) == Nothing("production has it already")


def test_a_version_that_is_held_in_the_target_stays_out():
    step = next_step(with_target(hold=hold_in("production")))
    assert isinstance(step, Nothing)
    assert "held in production: slow; `slipway release-hold production digits@3`" in step.reason


def test_a_version_that_a_person_took_out_of_the_target_stays_out():
    assert isinstance(next_step(with_target(left=True)), Nothing)


def test_a_version_never_replaces_a_newer_one():
    assert isinstance(next_step(with_target(serves=version(4))), Nothing)


def test_the_same_number_with_another_digest_never_replaces_what_is_served():
    other = ModelVersion("digits", 3, "sha256:" + "f" * 64)
    assert isinstance(next_step(with_target(serves=other)), Nothing)


def test_an_environment_that_never_had_the_model_gets_it():
    assert next_step(with_target(serves=None)) == Open("production", "the numbers")


def test_a_frozen_target_waits_and_says_until_when():
    freeze = Freeze(until=datetime(2026, 3, 2, 8, tzinfo=UTC), reason="holidays")
    assert next_step(with_target(freeze=freeze)) == Wait("production is frozen until 2026-03-02 08:00 UTC: holidays")


def test_a_frozen_target_takes_no_automatic_merge():
    step = next_step(with_target(policy=AUTOMATIC, request_open=True, freeze=Freeze(reason="holidays")))
    assert step == Wait("production is frozen until it is lifted: holidays")


def test_an_open_request_waits_for_a_person():
    step = next_step(with_target(request_open=True))
    assert step == Nothing("waits for approval: `slipway approve production digits`")


def test_automatic_approval_merges_the_open_request():
    assert next_step(with_target(policy=AUTOMATIC, request_open=True)) == Merge("production", "the numbers")


def test_an_environment_that_wants_approval_asks_a_person_whatever_the_model_says():
    step = next_step(with_target(policy=AUTOMATIC, accepts="approval", request_open=True))
    assert step == Nothing("waits for approval: `slipway approve production digits`")


def test_an_environment_that_accepts_direct_releases_needs_no_approval():
    assert next_step(with_target(accepts="direct", request_open=True)) == Merge("production", "the numbers")


@pytest.mark.parametrize("verdict", [Verdict.INSUFFICIENT_DATA, Verdict.NO_DATA, Verdict.ERROR])
def test_an_open_request_is_not_merged_once_the_verdict_is_not_pass_any_more(verdict):
    assert isinstance(next_step(with_target(verdict, policy=AUTOMATIC, request_open=True)), Wait)


def test_an_inconclusive_validation_is_never_merged_automatically():
    step = next_step(replace(with_target(policy=AUTOMATIC, request_open=True), validation=Outcome.INCONCLUSIVE))
    assert step == Nothing("validation was INCONCLUSIVE, so a person decides: `slipway approve production digits`")


def test_an_inconclusive_validation_still_asks():
    assert isinstance(next_step(situation(validation=Outcome.INCONCLUSIVE)), Open)
