"""The gates: what passes, what fails, what stays open, and how often chance misleads them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from gate_answers import compare, off_by, rate, yes_no
from hypothesis import given
from hypothesis import strategies as st

from hera_workflows.learning import gates
from hera_workflows.learning.measured import Answers
from hera_workflows.learning.tasks import load_task
from slipway.spec import ChampionGate, SliceGate
from slipway.threshold import Threshold
from slipway.verdict import Check, Outcome, Verdict, outcome

MULTICLASS, REGRESSION = load_task("multiclass-classification"), load_task("regression")


def test_a_number_on_the_limit_passes():
    (check,) = gates.absolute({"accuracy": Threshold(">=", 0.95)}, {"accuracy": 0.95})
    assert check.verdict is Verdict.PASS


def test_a_number_below_the_limit_fails_and_says_both_numbers():
    (check,) = gates.absolute({"accuracy": Threshold(">=", 0.95)}, {"accuracy": 0.9499})
    assert (check.verdict, check.reason) == (Verdict.FAIL, "0.9499; >= 0.95 needed")


def test_a_number_just_below_the_limit_is_shown_with_enough_digits():
    (check,) = gates.absolute({"accuracy": Threshold(">=", 0.95)}, {"accuracy": 0.9499999})
    assert check.reason == "0.9499999; >= 0.95 needed"


@pytest.mark.parametrize("measured", [{}, {"accuracy": math.nan}, {"accuracy": math.inf}])
def test_a_number_that_is_missing_or_none_never_passes(measured: dict[str, float]):
    (check,) = gates.absolute({"accuracy": Threshold(">=", 0.95)}, measured)
    assert check.verdict is Verdict.NO_DATA


def test_a_clearly_worse_model_fails():
    result = compare(ChampionGate(margin=0.01), yes_no(rate(1000, 100)), yes_no(rate(1000, 30)))
    assert result.check.verdict is Verdict.FAIL


def test_a_model_that_is_worse_by_less_than_the_margin_passes():
    candidate, champion = rate(20_000, 420), rate(20_000, 400)
    assert compare(ChampionGate(margin=0.01), yes_no(candidate), yes_no(champion)).check.verdict is Verdict.PASS


def test_too_little_data_is_undecided_and_says_how_much_would_settle_it():
    result = compare(ChampionGate(margin=0.01), yes_no(rate(200, 11)), yes_no(np.roll(rate(200, 10), 7)))
    assert result.check.verdict is Verdict.INSUFFICIENT_DATA
    assert result.samples_to_settle is not None
    assert result.samples_to_settle > 200
    assert f"about {result.samples_to_settle} test samples would settle it" in result.check.reason


def test_equal_answers_on_few_samples_prove_nothing():
    # A bootstrap would see no difference at all and be sure of it.
    same = rate(60, 2)
    assert compare(ChampionGate(margin=0.01), yes_no(same), yes_no(same)).check.verdict is Verdict.INSUFFICIENT_DATA


def test_without_a_margin_an_equal_model_stays_undecided_whatever_the_data():
    same = rate(5000, 50)
    result = compare(ChampionGate(margin=0), yes_no(same), yes_no(same))
    assert (result.check.verdict, result.samples_to_settle) == (Verdict.INSUFFICIENT_DATA, None)
    assert result.check.reason.endswith("give it a margin above 0")


def test_fewer_than_twenty_samples_are_never_compared():
    result = compare(ChampionGate(margin=0.5), yes_no(rate(19, 0)), yes_no(rate(19, 19)))
    assert result.check.verdict is Verdict.INSUFFICIENT_DATA


def test_a_smaller_error_is_an_improvement():
    draw = np.random.default_rng(0)
    error = draw.normal(size=500)
    gate = ChampionGate(metric="mean_absolute_error", margin=0.01)
    better = compare(gate, off_by(error * 0.8), off_by(error))
    worse = compare(gate, off_by(error), off_by(error * 0.8))
    assert (better.check.verdict, worse.check.verdict) == (Verdict.PASS, Verdict.FAIL)


def test_bounds_are_candidate_minus_champion_in_the_unit_of_the_metric():
    error = np.random.default_rng(0).normal(size=500)
    gate = ChampionGate(metric="mean_absolute_error", margin=0.01)
    result = compare(gate, off_by(error * 0.8), off_by(error))
    assert result.bounds is not None
    assert result.bounds.low < result.candidate - result.champion < result.bounds.high < 0


def slice_checks(right: np.ndarray, writer: np.ndarray, **gate: object) -> dict[str, Verdict | None]:
    limit = SliceGate.model_validate({"threshold": ">= 0.9", **gate})
    results = gates.slices({"writer": limit}, yes_no(right), {"writer": writer}, 0.95)
    return {result.value: result.check.verdict if result.check else None for result in results}


def test_a_slice_that_is_clearly_below_its_limit_fails_and_the_other_passes():
    writer = np.repeat(["ada", "bob"], 100)
    right = np.concatenate([rate(100, 40), rate(100, 0)])
    assert slice_checks(right, writer) == {"ada": Verdict.FAIL, "bob": Verdict.PASS}


def test_a_slice_that_misses_its_limit_by_chance_is_undecided():
    assert slice_checks(rate(40, 5), np.repeat(["ada"], 40)) == {"ada": Verdict.INSUFFICIENT_DATA}


def slice_verdict(answers: Answers, metric: str, threshold: str) -> Verdict | None:
    gate = SliceGate(metric=metric, threshold=threshold, min_samples=20)
    [result] = gates.slices({"all": gate}, answers, {"all": np.full(len(answers), "one")}, 0.95)
    return result.check and result.check.verdict


def labelled(predicted: list[int], labels: list[int]) -> Answers:
    """Answers to samples of the classes a (0) and b (1)."""
    return Answers(MULTICLASS, np.eye(2, dtype="float32")[predicted], np.array(labels), ["a", "b"])


def test_a_slice_whose_error_is_clearly_too_large_fails():
    error = np.random.default_rng(0).normal(50, 5, 300)
    assert slice_verdict(off_by(error), "mean_absolute_error", "<= 1") is Verdict.FAIL


def test_a_slice_whose_error_may_be_too_large_by_chance_is_undecided():
    error = np.random.default_rng(0).normal(0, 5, 30)
    assert slice_verdict(off_by(error), "mean_absolute_error", f"<= {abs(error).mean() - 0.1}") is (
        Verdict.INSUFFICIENT_DATA
    )


def test_a_slice_whose_macro_f1_is_clearly_too_low_fails():
    answers = labelled([0, 1] * 150, [1, 0] * 140 + [0, 1] * 10)
    assert slice_verdict(answers, "macro_f1", ">= 0.9") is Verdict.FAIL


def test_the_recall_of_a_class_that_a_slice_has_not_is_not_judged():
    assert slice_verdict(labelled([0] * 55 + [1] * 5, [0] * 60), "recall[b]", ">= 0.9") is None


def test_one_missed_sample_of_a_class_proves_nothing():
    assert slice_verdict(labelled([0] * 60, [0] * 59 + [1]), "recall[b]", ">= 0.9") is Verdict.INSUFFICIENT_DATA


def test_a_class_of_which_a_slice_finds_none_fails():
    assert slice_verdict(labelled([0] * 60, [0] * 40 + [1] * 20), "recall[b]", ">= 0.9") is Verdict.FAIL


def test_a_slice_with_too_few_samples_is_not_judged():
    writer = np.array(["ada"] * 100 + ["bob"] * 29)
    assert slice_checks(np.concatenate([rate(100, 0), rate(29, 29)]), writer) == {"ada": Verdict.PASS, "bob": None}


def test_a_column_without_one_large_enough_slice_does_not_pass():
    limit = SliceGate.model_validate({"threshold": ">= 0.9"})
    results = gates.slices({"writer": limit}, yes_no(rate(10, 0)), {"writer": np.repeat(["ada"], 10)}, 0.95)
    assert [check.verdict for check in gates.unjudged(results)] == [Verdict.INSUFFICIENT_DATA]


def test_many_slices_are_judged_together_so_that_chance_rarely_fails_one():
    draw = np.random.default_rng(5)
    failed = 0
    for _ in range(60):
        writer = np.repeat(np.arange(40).astype(str), 60)
        failed += Verdict.FAIL in slice_checks(draw.random(2400) < 0.9, writer).values()
    assert failed / 60 <= 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / 60)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], Outcome.INCONCLUSIVE),
        ([Verdict.PASS], Outcome.PASS),
        ([Verdict.PASS, Verdict.INSUFFICIENT_DATA], Outcome.INCONCLUSIVE),
        ([Verdict.PASS, Verdict.NO_DATA], Outcome.INCONCLUSIVE),
        ([Verdict.ERROR, Verdict.FAIL], Outcome.FAIL),
    ],
)
def test_the_outcome_is_the_worst_of_the_checks(verdicts: list[Verdict], expected: Outcome):
    assert outcome(Check(name="x", verdict=verdict, reason="") for verdict in verdicts) is expected


@given(st.lists(st.sampled_from(list(Verdict)), max_size=6), st.sampled_from(list(Verdict)))
def test_one_more_check_never_makes_a_refused_model_pass(verdicts: list[Verdict], more: Verdict):
    checks = [Check(name="x", verdict=verdict, reason="") for verdict in verdicts]
    order = [Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS]
    if checks:
        after = outcome([*checks, Check(name="y", verdict=more, reason="")])
        assert order.index(after) <= order.index(outcome(checks))


# --- how often chance misleads: simulations with the stated level plus three standard errors of the simulation ---
