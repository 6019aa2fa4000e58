"""Intervals, tests and resampling say what the textbooks do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hera_workflows.learning import gates
from hera_workflows.learning.resampling import Interval, grouped, holm, mcnemar_worse, resample, score_interval
from hera_workflows.learning.tasks import load_task

MULTICLASS, REGRESSION = load_task("multiclass-classification"), load_task("regression")


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


def test_groups_of_unequal_size_keep_the_spread_of_the_mean():
    # Far from 0, where a resample of more samples than the mean is taken over would show.
    rows = np.random.default_rng(0).normal(288, 10, size=(6_000, 1))
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
