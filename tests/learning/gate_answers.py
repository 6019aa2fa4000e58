"""Answers of a candidate and a champion, made to order."""

from __future__ import annotations

import numpy as np

from hera_workflows.learning import gates
from hera_workflows.learning.measured import Answers
from hera_workflows.learning.tasks import load_task
from slipway.spec import ChampionGate

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
