"""Task types: their metrics, and that one module is all that a new one needs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hera_workflows.learning.tasks import Task, load_task, task_names
from hera_workflows.learning.tasks.token_classification import entity_counts
from slipway.errors import Rejected

BIO = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def sample(name: str, seed: int, count: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Random answers, labels and class names for a task."""
    draw = np.random.default_rng(seed)
    if name == "regression":
        labels = draw.normal(50, 20, count)
        return (labels + draw.normal(size=count))[:, None].astype("float32"), labels, []
    classes = {"binary-classification": ["no", "yes"], "token-classification": BIO}.get(name, ["a", "b", "c"])
    shape = (count, 7) if name == "token-classification" else (count,)
    logits = draw.normal(size=(*shape, len(classes)))
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    labels = draw.integers(0, len(classes), shape)
    if name == "token-classification":
        labels[:, 1:][draw.random((count, 6)) < 0.3] = -100
    return p.astype("float32"), labels, classes


def test_the_four_task_types_are_the_modules_of_the_package():
    assert task_names() == ("binary-classification", "multiclass-classification", "regression", "token-classification")


def test_an_unknown_task_is_answered_with_the_known_ones():
    with pytest.raises(Rejected, match="'ranking' is unknown; write one of binary-classification"):
        load_task("ranking")


@pytest.mark.parametrize("name", task_names())
def test_a_task_module_provides_everything_that_a_task_must(name: str):
    task = load_task(name)
    missing = [
        member for member in (*Task.__annotations__, *vars(Task)) if member[0] != "_" and not hasattr(task, member)
    ]
    assert missing == []


@pytest.mark.parametrize("name", task_names())
@given(seed=st.integers(0, 10_000), count=st.integers(2, 60))
@settings(max_examples=40, deadline=None)
def test_metrics_from_means_of_statistics_equal_those_of_scikit_learn(name: str, seed: int, count: int):
    task = load_task(name)
    p, y, names = sample(name, seed, count)
    for metric, expected in task.evaluate(p, y, names)["metrics"].items():
        if metric not in task.UNPAIRED:
            means = task.statistics(metric, p, y, names).mean(axis=0)
            assert float(task.combine(metric, means, names)) == pytest.approx(expected, abs=1e-6), metric


@pytest.mark.parametrize("name", task_names())
def test_importing_a_task_loads_no_heavy_library(name: str):
    code = (
        f"import sys; from hera_workflows.learning.tasks import load_task; load_task({name!r});"
        "print(sorted({'torch', 'numpy', 'sklearn', 'scipy', 'onnxruntime'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


def counts(predicted: str, truth: str) -> list[float]:
    """Entity counts of one sequence; one letter a token: . O, P B-PER, p I-PER, L B-LOC, l I-LOC, _ ignored."""
    number = {".": 0, "P": 1, "p": 2, "L": 3, "l": 4, "_": -100}
    said, true = (np.array([[number[letter] for letter in text]]) for text in (predicted, truth))
    return entity_counts(np.where(said == -100, 0, said), true, BIO)[0].tolist()


@pytest.mark.parametrize(
    ("predicted", "truth", "right_predicted_true"),
    [
        ("Pp.L.", "Pp.L.", [2, 2, 2]),
        ("P..L.", "Pp.L.", [1, 2, 2]),  # the end is wrong
        ("Lp...", "Pp...", [0, 2, 1]),  # I-PER after LOC begins an entity
        ("PP...", "Pp...", [0, 2, 1]),
        ("pp...", "Pp...", [1, 1, 1]),  # I- that follows nothing begins an entity
        (".....", "Pp...", [0, 0, 1]),
        ("P.pL.", "P_pL_", [2, 2, 2]),  # an ignored token is not there at all
    ],
)
def test_an_entity_is_right_when_begin_end_and_type_are(predicted: str, truth: str, right_predicted_true: list[float]):
    assert counts(predicted, truth) == right_predicted_true


def test_an_entity_never_reaches_into_the_next_sequence():
    labels = np.array([[0, 1], [2, 0]])
    assert entity_counts(labels, labels, BIO).tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize(
    ("name", "labels", "said"),
    [
        ("multiclass-classification", np.array([0, 3]), "label 3 has no class: model.yaml lists 3 (0 to 2); add it there"),  # noqa: E501
        ("multiclass-classification", np.array([-1, 1]), "label -1 is negative; number the classes from 0"),
        ("multiclass-classification", np.array([0.0, 1.0]), "labels are float64; give class numbers as integers, for example labels.astype('int64')"),  # noqa: E501
        ("binary-classification", np.zeros((2, 2), int), "labels have shape (2, 2); give class numbers of shape (samples,)"),  # noqa: E501
        ("token-classification", np.full((2, 3), -100), "every label is ignored (-100); label at least one token"),
        ("regression", np.zeros((2, 3)), "labels have shape (2, 3); give one number a sample, shape (samples,)"),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_the_task_are_named(name: str, labels: np.ndarray, said: str):
    classes = {"multiclass-classification": ["a", "b", "c"], "token-classification": BIO}.get(name)
    assert load_task(name).check_labels(labels, classes) == [said]
