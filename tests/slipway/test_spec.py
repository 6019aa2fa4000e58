"""model.yaml, once parsed, is a value that nothing can be added to."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from slipway.spec import ModelSpec
from slipway.threshold import Threshold

WHOLE = {
    "name": "digits",
    "task": "multiclass-classification",
    "train": {"gpus": 1, "params": {"epochs": 5, "lr": 0.001}},
    "gates": {
        "accuracy": ">= 0.95",
        "champion": {"metric": "accuracy", "margin": 0.01},
        "slices": {"writer": ">= 0.90"},
    },
    "serving": {"max_batch": 64, "p95_ms": "<= 40"},
    "promotion": {
        "min_requests": 500,
        "soak": "10m",
        "error_ratio": "<= 0.001",
        "p95_ms": "<= 50",
        "replay": 500,
        "approval": "pull-request",
    },
}


def test_two_lines_are_a_whole_model_yaml() -> None:
    spec = ModelSpec.model_validate({"name": "digits", "task": "regression"})
    assert spec.promotion.soak == timedelta(minutes=10)
    assert spec.promotion.approval == "pull-request"


def test_the_long_form_survives_a_round_trip() -> None:
    spec = ModelSpec.model_validate(WHOLE)
    assert ModelSpec.model_validate(spec.model_dump(mode="json")) == spec
    assert ModelSpec.model_validate_json(spec.model_dump_json()) == spec


def test_a_gate_is_a_metric_with_a_threshold() -> None:
    assert ModelSpec.model_validate(WHOLE).gates.metrics == {"accuracy": Threshold(">=", 0.95)}


def test_a_slice_gate_has_a_short_form() -> None:
    gate = ModelSpec.model_validate(WHOLE).gates.slices["writer"]
    assert gate.threshold == Threshold(">=", 0.90)
    assert gate.min_samples == 30


def test_nodes_are_chosen_as_in_kubernetes() -> None:
    taint = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    train = {"node_selector": {"cloud.google.com/gke-accelerator": "nvidia-l4"}, "tolerations": [taint]}
    found = ModelSpec.model_validate({"name": "digits", "task": "regression", "train": train}).train
    assert found.node_selector == train["node_selector"]
    assert found.tolerations[0].model_dump() == {**taint, "value": ""}


def test_a_toleration_of_any_value_has_none() -> None:
    train = {"tolerations": [{"key": "gpu", "operator": "Exists", "value": "l4"}]}
    with pytest.raises(ValidationError, match="Exists takes no value, and 'l4' is given"):
        ModelSpec.model_validate({"name": "digits", "task": "regression", "train": train})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_margin_is_an_ordinary_number(number: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        ModelSpec.model_validate({"name": "a", "task": "regression", "gates": {"champion": {"margin": number}}})


@pytest.mark.parametrize(
    "section",
    [
        {"trian": {}},
        {"train": {"gpu": 1}},
        {"promotion": {"soak": "soon"}},
        {"promotion": {"soak": "99999d"}},
        {"train": {"gpus": -1}},
        {"train": {"memory": "500m"}},
        {"data": {"train": {"url": "train.csv", "format": "csv", "max_size": "500m"}}},
    ],
)
def test_a_typo_or_an_impossible_value_is_an_error(section: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ModelSpec.model_validate({"name": "digits", "task": "regression", **section})
