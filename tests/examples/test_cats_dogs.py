"""Cats and dogs, from an image folder to a published version, on small made pictures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from example_yard import Shipped, Yard
from safetensors.torch import load_file
from torchvision.models import resnet18

from hera_workflows.steps.train import train_model
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


@pytest.mark.slow
def test_a_training_that_starts_from_the_champion_begins_with_all_its_weights(shipped: Shipped, yard: Yard):
    yaml = yard.project / "models" / "cats_dogs" / "model.yaml"
    # Not an epoch, so that what training begins with is what it leaves.
    yaml.write_text(
        re.sub(r"epochs: \d+", "epochs: 0", yaml.read_text()).replace("train:\n", "train:\n  from: champion\n")
    )
    second = yard.ship("cats_dogs", "push-2")
    start = second.manifest.training["from"]
    assert (start["version"], start["taken"]) == ("cats_dogs@1", start["of"])
    first, weights = (load_file(each.folder / "train" / "weights.safetensors") for each in (shipped, second))
    assert all(torch.equal(weights[name], first[name]) for name in first if name != "temperature")


@pytest.mark.slow
@pytest.mark.parametrize("there", [True, False])
def test_training_begins_with_the_weights_of_a_local_file_and_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], there: bool
):
    weights = resnet18().state_dict()
    if there:
        torch.save(weights, tmp_path / "resnet18-f37072fd.pth")
    yard = Yard(tmp_path)
    yaml = yard.take("cats_dogs") / "model.yaml"
    # Not an epoch, so that what training begins with is what it leaves.
    yaml.write_text(re.sub(r"params: {epochs: \d+", f"params: {{weights: {tmp_path}, epochs: 0", yaml.read_text()))
    (tmp_path / "run").mkdir()
    train_model(yard.project, yard.commit(), "cats_dogs", tmp_path / "run", cache=tmp_path / "datasets")
    learned = load_file(tmp_path / "run" / "train" / "weights.safetensors")
    layers = [name for name in weights if not name.startswith("fc.") and weights[name].ndim == 4]
    assert len(layers) == 20
    assert all(torch.equal(learned[f"net.{name}"], weights[name]) for name in layers) == there
    said = "the layers begin with ImageNet's weights, from" if there else "the layers begin with random weights"
    assert said in capfd.readouterr().out
