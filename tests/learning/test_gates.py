"""The gates: what passes, what fails, what stays open, and how often chance misleads them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hera_workflows.learning import gates
from hera_workflows.learning.measured import Answers
from hera_workflows.learning.resampling import Interval, grouped, holm, mcnemar_worse, resample, score_interval
from hera_workflows.learning.tasks import load_task
from slipway.spec import ChampionGate, SliceGate
from slipway.threshold import Threshold
from slipway.verdict import Check, Outcome, Verdict

MULTICLASS, REGRESSION = load_task("multiclass-classification"), load_task("regression")


def yes_no(right: np.ndarray) -> Answers:
    """Answers of which exactly the given ones are right; two classes, all labels 0."""
    p = np.zeros((len(right), 2), "float32")
    p[np.arange(len(right)), np.where(right, 0, 1)] = 1
    return Answers(MULTICLASS, p, np.zeros(len(right), int), ["a", "b"])


def off_by(error: np.ndarray) -> Answers:
    """Predictions with these errors."""
    return Answers(REGRESSION, error[:, None].astype("float64"), np.zeros(len(error)), [])


def rate(count: int, wrong: int) -> np.ndarray:
    return np.arange(count) >= wrong


def compare(gate: ChampionGate, candidate: Answers, champion: Answers) -> gates.ChampionResult:
    return gates.against_champion(gate, candidate, champion, "digits@3")


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
    assert gates.outcome(Check(name="x", verdict=verdict, reason="") for verdict in verdicts) is expected


@given(st.lists(st.sampled_from(list(Verdict)), max_size=6), st.sampled_from(list(Verdict)))
def test_one_more_check_never_makes_a_refused_model_pass(verdicts: list[Verdict], more: Verdict):
    checks = [Check(name="x", verdict=verdict, reason="") for verdict in verdicts]
    order = [Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS]
    if checks:
        after = gates.outcome([*checks, Check(name="y", verdict=more, reason="")])
        assert order.index(after) <= order.index(gates.outcome(checks))


# --- how often chance misleads: simulations with the stated level plus three standard errors of the simulation ---

TRIALS = 200
LEVEL = 0.025  # (1 - confidence) / 2


def share(verdict: Verdict, verdicts: list[Verdict]) -> float:
    return sum(v is verdict for v in verdicts) / len(verdicts)


def allowed(level: float) -> float:
    return level + 3 * math.sqrt(level * (1 - level) / TRIALS)


def simulate_accuracy(seed: int, count: int, both: float, worse: float, better: float) -> list[Verdict]:
    """Verdicts for models that differ on a share `worse` and `better` of the samples; margin 0.02."""
    draw, gate = np.random.default_rng(seed), ChampionGate(margin=0.02)
    verdicts = []
    for _ in range(TRIALS):
        kind = draw.choice(4, size=count, p=[both, worse, better, 1 - both - worse - better])
        candidate, champion = yes_no((kind == 0) | (kind == 2)), yes_no((kind == 0) | (kind == 1))
        verdicts.append(compare(gate, candidate, champion).check.verdict)
    return verdicts


@pytest.mark.slow
@pytest.mark.parametrize("count", [60, 600])
@pytest.mark.parametrize("disagreement", [0.01, 0.1])
def test_an_equal_model_is_refused_no_more_often_than_stated_by_accuracy(count: int, disagreement: float):
    verdicts = simulate_accuracy(1, count, 0.75, disagreement / 2, disagreement / 2)
    assert share(Verdict.FAIL, verdicts) <= allowed(LEVEL)


@pytest.mark.slow
@pytest.mark.parametrize("count", [60, 600])
@pytest.mark.parametrize("better", [0.0, 0.05])
def test_a_model_worse_by_the_margin_passes_no_more_often_than_stated_by_accuracy(count: int, better: float):
    verdicts = simulate_accuracy(2, count, 0.75, 0.02 + better, better)
    # Tango's interval is not exact: where a dozen samples differ its level is about 0.03.
    assert share(Verdict.PASS, verdicts) <= allowed(0.03)


def simulate_error(seed: int, count: int, ratio: float, margin: float) -> list[Verdict]:
    draw, gate = np.random.default_rng(seed), ChampionGate(metric="mean_absolute_error", margin=margin)
    verdicts = []
    for _ in range(TRIALS):
        shared = draw.normal(size=count)
        candidate, champion = (shared + draw.normal(size=count) * 0.5 for _ in range(2))
        verdicts.append(compare(gate, off_by(candidate * ratio), off_by(champion)).check.verdict)
    return verdicts


@pytest.mark.slow
@pytest.mark.parametrize("count", [200, 400])
def test_an_equal_model_is_refused_no_more_often_than_stated_by_resampling(count: int):
    # Percentile intervals are a little narrow on small test splits: 0.035 instead of 0.025 at 200 samples.
    assert share(Verdict.FAIL, simulate_error(3, count, 1.0, 0.0)) <= allowed(0.035)


@pytest.mark.slow
@pytest.mark.parametrize("count", [200, 400])
def test_a_model_worse_by_the_margin_passes_no_more_often_than_stated_by_resampling(count: int):
    mean = math.sqrt(1.25) * math.sqrt(2 / math.pi)  # of |N(0, 1.25)|
    assert share(Verdict.PASS, simulate_error(4, count, 1 + 0.05 / mean, 0.05)) <= allowed(0.035)


# --- the pieces ---


@pytest.mark.parametrize(("better", "worse", "count"), [(0, 1, 44), (7, 3, 100), (0, 0, 50), (30, 55, 400)])
def test_the_bounds_are_where_the_score_test_stops_rejecting(better: int, worse: int, count: int):
    # The likelihood is maximised numerically here, in closed form there.
    from scipy.optimize import minimize_scalar

    def score(d: float) -> float:
        def loss(q: float) -> float:
            parts = ((better, q + d), (worse, q), (count - better - worse, 1 - 2 * q - d))
            return -sum(n * math.log(max(p, 1e-300)) for n, p in parts if n)

        q = minimize_scalar(loss, bounds=(max(0, -d), (1 - d) / 2), method="bounded", options={"xatol": 1e-12}).x
        return (better - worse - count * d) / math.sqrt(count * (2 * q + d * (1 - d)))

    bounds = score_interval(better, worse, count, 0.95)
    assert score(bounds.low) == pytest.approx(1.96, abs=0.01)
    assert score(bounds.high) == pytest.approx(-1.96, abs=0.01)


@given(st.integers(1, 2000), st.data())
@settings(max_examples=60, deadline=None)
def test_a_score_interval_holds_what_was_seen_and_stays_possible(count: int, data: st.DataObject):
    better = data.draw(st.integers(0, count))
    worse = data.draw(st.integers(0, count - better))
    bounds = score_interval(better, worse, count, 0.95)
    assert -1 <= bounds.low <= (better - worse) / count <= bounds.high <= 1


def test_mcnemar_is_the_exact_binomial_tail():
    assert mcnemar_worse(1, 9) == pytest.approx((1 + 10) / 2**10)


def test_mcnemar_says_nothing_when_nothing_differs():
    assert mcnemar_worse(0, 0) == 1.0


def test_holm_stops_at_the_first_that_is_not_significant():
    assert holm([0.04, 0.001, 0.03], 0.05) == [False, True, False]


def test_grouping_keeps_the_total():
    rows = np.random.default_rng(0).random((10_000, 3))
    assert grouped(lambda part: rows[part], len(rows), 1).sum(axis=0) == pytest.approx(rows.sum(axis=0))


def test_grouping_keeps_the_spread_of_the_mean():
    rows = np.random.default_rng(0).normal(size=(50_000, 1))
    drawn = np.concatenate(list(resample(grouped(lambda part: rows[part], len(rows), 1), len(rows), 2)))
    assert drawn.std() == pytest.approx(rows.std() / math.sqrt(len(rows)), rel=0.06)


def test_resampling_is_repeatable():
    rows = np.random.default_rng(0).normal(size=(100, 1))
    first, second = (np.concatenate(list(resample(rows, 100, 7))) for _ in range(2))
    assert (first == second).all()


def test_the_number_that_settles_it_grows_as_the_room_shrinks():
    wide, narrow = (
        gates.samples_to_settle(gain, Interval(gain - 0.02, gain + 0.02), 500, 0.01) for gain in (0.005, -0.005)
    )
    assert (wide, narrow) == (889, 8000)
