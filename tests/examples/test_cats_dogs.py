"""Cats and dogs, from an image folder to a published version, on small made pictures."""

from __future__ import annotations

import pytest
from example_yard import Shipped, Yard

from slipway.verdict import Outcome


@pytest.fixture(scope="module")
def shipped(yard: Yard) -> Shipped:
    yard.take("cats_dogs")
    return yard.ship("cats_dogs")


@pytest.mark.slow
def test_the_network_passes_its_gates_on_a_real_triton(shipped: Shipped):
    assert shipped.validation.outcome is Outcome.PASS, shipped.validation.checks


@pytest.mark.slow
def test_every_source_and_every_brightness_is_counted(shipped: Shipped):
    slices = shipped.manifest.data.slices
    assert slices["source"] == {"camera": 40, "phone": 40}
    assert set(slices["brightness"]) <= {"dark", "medium", "bright"}


@pytest.mark.slow
def test_calibration_is_a_gate(shipped: Shipped):
    assert "calibration_error" in {check.name for check in shipped.validation.checks}


@pytest.mark.slow
def test_clients_send_pictures_as_bytes(shipped: Shipped):
    assert shipped.trained.signature["inputs"] == [{"name": "input", "datatype": "UINT8", "dims": [224, 224, 3]}]
