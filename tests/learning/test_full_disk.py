"""A disk that is full during training is worth another try: it says nothing about the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from hera_workflows.learning import people
from hera_workflows.learning.job import do
from hera_workflows.learning.worker import Job
from slipway.errors import Rejected, TryAgain
from slipway.spec import ModelSpec

# Every write to /dev/full fails as one to a full disk does.
IN_DATA = """
def data(split):
    with open("/dev/full", "w") as file:
        file.write("a cache of samples")


def train(ctx):
    ...
"""
# What the worker itself writes when training is done meets the full disk.
IN_EXPORT = """
from pathlib import Path

import numpy as np
from torch import nn


class Linear(nn.Linear):
    def eval(self):
        staging = Path(OUTPUT).with_name(".train.partial")
        if staging.is_dir() and not (staging / "training.json").is_symlink():
            (staging / "training.json").symlink_to("/dev/full")
        return super().eval()


def data(split):
    inputs = np.random.default_rng(len(split)).normal(size=(90, 3)).astype("float32")
    return inputs, inputs.argmax(axis=1)


def train(ctx):
    return Linear(3, 3)
"""


def job(folder: Path, kind: str, py: str) -> Job:
    (folder / "models" / "toy").mkdir(parents=True)
    file = folder / "models" / "toy" / "model.py"
    file.write_text(py.replace("OUTPUT", repr(str(folder / "train"))))
    spec = ModelSpec.model_validate(
        {
            "name": "toy",
            "task": "multiclass-classification",
            "gates": {"accuracy": ">= 0.3"},
            "serving": {"max_batch": 8},
        }
    )
    return Job.model_validate(
        {
            "kind": kind,
            "root": folder,
            "file": file,
            "spec": spec,
            "result": folder / "result.json",
            "commit": "a" * 40,
            "output": folder / "train",
            "checkpoints": folder / "checkpoints",
        }
    )


def test_a_disk_that_is_full_for_model_py_is_worth_another_try(tmp_path: Path) -> None:
    with pytest.raises(TryAgain, match="No space left on device; make room there"):
        do(job(tmp_path, "check", IN_DATA), timeout=120, max_output=10_000)


@pytest.mark.slow
def test_a_disk_that_is_full_for_what_training_leaves_is_worth_another_try(tmp_path: Path) -> None:
    with pytest.raises(TryAgain, match="No space left on device; make room there"):
        do(job(tmp_path, "train", IN_EXPORT), timeout=240, max_output=10_000)


def test_a_file_that_model_py_may_not_read_is_its_own_mistake(tmp_path: Path) -> None:
    def opens() -> None:
        raise PermissionError(13, "Permission denied", "/root/points.csv")

    with pytest.raises(Rejected, match="correct it there"):
        people.call(opens, "train(ctx)", tmp_path / "model.py", tmp_path)
