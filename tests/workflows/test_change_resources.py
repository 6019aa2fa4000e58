"""What a push says of a model's needs goes into a pod patch, so nothing but numbers may stand in it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from slipway.change import Change


@pytest.mark.parametrize("field", ["gpus", "cpu", "memory", "ephemeral_storage", "timeout_seconds"])
@pytest.mark.parametrize("value", ['1", "x": "', "1}", "", "-1", "1\n", "{{item}}", "１"])
def test_a_text_that_is_no_number_is_refused(field: str, value: str) -> None:
    with pytest.raises(ValidationError):
        Change.model_validate({"model": "m", "action": "changed", "commit": "a" * 40, "why": "x", field: value})


HOSTILE = ['a", "hostNetwork": true, "x": "', "{{item}}", "a\n", " ", "a/b/c", "-a", "x" * 64]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_text_that_is_no_label_is_refused(value: str) -> None:
    change = {"model": "m", "action": "changed", "commit": "a" * 40, "why": "x"}
    for field in (
        {"node_selector": {value: "a"}},
        {"node_selector": {"a": value}},
        {"tolerations": [{"key": value}]},
        {"tolerations": [{"key": "a", "value": value}]},
        {"tolerations": [{"key": "a", "effect": value}]},
    ):
        with pytest.raises(ValidationError):
            Change.model_validate({**change, **field})
