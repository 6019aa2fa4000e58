"""How much, as people write it and as a number."""

from __future__ import annotations

import pytest

from slipway.quantity import parse_quantity


@pytest.mark.parametrize(
    ("text", "amount"), [("500m", 0.5), ("2", 2.0), ("0.25", 0.25), ("500M", 5e8), ("1k", 1e3), ("1.5Gi", 1.5 * 2**30)]
)
def test_a_quantity_is_a_number_of_its_unit(text: str, amount: float) -> None:
    assert parse_quantity(text) == amount


@pytest.mark.parametrize("text", ["", "Gi", "-1", "1e3", "1 Gi", "1gb", "1\n", "１"])
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity; write it as 500m, 2 or 4Gi"):
        parse_quantity(text)
