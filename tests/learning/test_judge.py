"""Which answers, labels and gates are judged at all, and what is said of the others."""

from __future__ import annotations

import numpy as np
import pytest

from hera_workflows.learning.champion import Champion
from hera_workflows.learning.dataset import Split
from hera_workflows.learning.serving_gate import Served
from hera_workflows.learning.tasks import load_task
from hera_workflows.learning.trained import Trained
from hera_workflows.learning.validation import Judged, judge
from slipway.errors import Rejected
from slipway.manifest import DataSummary
from slipway.spec import ModelSpec
from slipway.verdict import Check, Outcome, Verdict

SERVED = Served([Check(name="serves", verdict=Verdict.PASS, reason="it serves")], {}, (1.0,), 1.0, 1.0)
LABELS = np.arange(60) % 3
RIGHT = np.eye(3, dtype="float32")[LABELS]


def judged(
    output: np.ndarray,
    labels: np.ndarray,
    *,
    task: str = "multiclass-classification",
    gates: dict[str, object] | None = None,
    champion: np.ndarray | None = None,
) -> Judged:
    """The verdict on answers made to order, of a model.yaml without `classes`."""
    spec = ModelSpec.model_validate({"name": "clouds", "task": task, "gates": gates or {}})
    data = DataSummary(digest="sha256:" + "0" * 64, counts={"test": len(labels)})
    trained = Trained(spec=spec, source_commit="0" * 40, data=data, training={}, tools={}, signature={})
    slices = {"half": np.where(np.arange(len(labels)) % 2 == 0, "even", "odd")}
    old = None if champion is None else Champion("clouds@3", "staging", champion)
    test = Split({"input": output}, labels, slices, keywords=False)
    return judge(trained, load_task(task), test, output, old, SERVED)


def champion_check(result: Judged) -> Check:
    (check,) = (check for check in result.validation.checks if check.name == "champion")
    return check


def test_a_label_that_the_model_has_no_output_for_is_refused():
    labels = np.where(np.arange(60) == 7, 5, LABELS)
    with pytest.raises(Rejected, match=r"label 5 has no output: the module answers with 3 classes \(0 to 2\)"):
        judged(RIGHT, labels)


def test_a_token_label_that_the_model_has_no_output_for_is_refused():
    labels = np.array([[0, -100], [4, 1]])
    task = load_task("token-classification")
    (said,) = task.check_output(np.full((2, 2, 3), 1 / 3, "float32"), labels, ["O", "B-PER", "I-PER"])
    assert said.startswith("label 4 has no output: the module answers with 3 classes")


@pytest.mark.parametrize("champion", [None, RIGHT], ids=["first version", "later version"])
@pytest.mark.parametrize(
    "gates",
    [
        {"champion": {"metric": "f1[3]"}},
        {"slices": {"half": {"metric": "f1[3]", "threshold": ">= 0.5"}}},
        {"f1[3]": ">= 0.5"},
    ],
    ids=["champion", "slices", "limit"],
)
def test_a_gate_on_a_class_that_the_model_does_not_have_is_refused(
    gates: dict[str, object], champion: np.ndarray | None
):
    with pytest.raises(Rejected, match=r"^f1\[3\]: the model has no class 3; write one of 0, 1, 2 in gates$"):
        judged(RIGHT, LABELS, gates=gates, champion=champion)


def test_a_gate_on_a_class_by_its_number_is_judged():
    result = judged(RIGHT, LABELS, gates={"champion": {"metric": "f1[2]", "margin": 0.1}}, champion=RIGHT)
    assert champion_check(result).verdict is Verdict.PASS


def one_nan(output: np.ndarray) -> np.ndarray:
    """The same answers, but for one that is no number."""
    spoilt = output.copy()
    spoilt[7] = np.nan
    return spoilt


@pytest.mark.parametrize("task", ["multiclass-classification", "regression"])
def test_a_champion_that_answers_nan_leaves_the_verdict_open(task: str):
    output = RIGHT if task == "multiclass-classification" else LABELS[:, None].astype("float32")
    result = judged(output, LABELS, task=task, champion=one_nan(output))
    assert result.validation.outcome is Outcome.INCONCLUSIVE
    assert champion_check(result).reason == (
        "clouds@3 answers with NaN or infinite numbers on this test split: they cannot be compared"
    )
