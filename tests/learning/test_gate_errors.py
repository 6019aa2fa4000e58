"""How often chance alone makes a gate refuse or pass: no more often than it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from gate_answers import compare, off_by, yes_no

from hera_workflows.learning.tasks import load_task
from slipway.spec import ChampionGate
from slipway.verdict import Verdict

MULTICLASS, REGRESSION = load_task("multiclass-classification"), load_task("regression")


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
