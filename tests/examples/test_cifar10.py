"""CIFAR-10's network, from the python archive's own format to a published version, on small made data."""

from __future__ import annotations

import pytest
from example_yard import Shipped, Yard

from slipway.verdict import Outcome
from triton_repo.store import open_store


@pytest.fixture(scope="module")
def shipped(yard: Yard) -> Shipped:
    yard.take("cifar10")
    return yard.ship("cifar10")


@pytest.mark.slow
def test_the_network_passes_its_gates_on_a_real_triton(shipped: Shipped):
    assert shipped.validation.outcome is Outcome.PASS, shipped.validation.checks


@pytest.mark.slow
def test_a_gate_of_one_class_is_judged(shipped: Shipped):
    assert "recall[cat]" in {check.name for check in shipped.validation.checks}


@pytest.mark.slow
def test_the_manifest_counts_each_class_of_each_split(shipped: Shipped):
    counts = shipped.manifest.data.classes_by_split
    assert {split: sum(classes.values()) for split, classes in counts.items()} == {
        "train": 450,
        "validation": 50,
        "test": 400,
    }
    assert counts["test"]["cat"] == 40


@pytest.mark.slow
def test_requests_are_batched_by_the_server(shipped: Shipped, yard: Yard):
    config = open_store(yard.store).read("cifar10", shipped.version.number, "config.pbtxt").decode()
    assert "max_batch_size: 256" in config
    assert "max_queue_delay_microseconds: 2000" in config


@pytest.mark.slow
def test_clients_send_bytes_not_scaled_numbers(shipped: Shipped):
    assert shipped.trained.signature["inputs"] == [{"name": "input", "datatype": "UINT8", "dims": [3, 32, 32]}]


@pytest.mark.slow
def test_a_training_that_starts_from_the_champion_takes_all_its_weights(shipped: Shipped, yard: Yard):
    yaml = yard.project / "models" / "cifar10" / "model.yaml"
    yaml.write_text(yaml.read_text().replace("train:\n", "train:\n  from: champion\n"))
    second = yard.ship("cifar10", "push-2")
    assert second.manifest.training["from"] == {
        "version": "cifar10@1",
        "digest": shipped.version.digest,
        "taken": 8,
        "of": 8,
    }
    assert second.manifest.training["curve"][0][1] < shipped.manifest.training["curve"][0][1]
