"""A project with models, as a real git repository; and a model that trains in a blink."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Test modules share gate_answers.py by name.
sys.path.insert(0, str(Path(__file__).parent))

YAML = """\
name: {name}
task: multiclass-classification
train: {{params: {{epochs: 6, lr: 0.05}}}}
gates: {{accuracy: ">= 0.5", champion: {{margin: 0.1}}}}
serving: {{max_batch: 8}}
"""

# Three clouds of points, hardly overlapping. Dropout and the optimizer draw random numbers, which a resumed
# training must draw alike.
PY = """\
import numpy as np
import torch
from torch import nn


def data(split):
    draw = np.random.default_rng({"train": 1, "validation": 2, "test": 3}[split])
    labels = draw.integers(0, 3, 300)
    inputs = draw.normal(size=(300, 4)) + 2 * np.eye(3, 4)[labels]
    return inputs.astype("float32"), labels, {"half": np.where(inputs[:, 3] > 0, "upper", "lower")}


def train(ctx):
    inputs, labels, _ = data("train")
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=ctx.params["lr"], momentum=0.9)
    for _ in ctx.epochs(model=model, optimizer=optimizer):
        for x, y in ctx.batches(inputs, labels, size=64):
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ctx.progress(loss=loss)
    return model
"""


class Project:
    """A git repository with models/."""

    yaml, py = YAML, PY  # of a model that trains in a blink

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, name: str = "clouds", yaml: str = YAML, py: str | None = PY) -> Path:
        """Write a model's two files; its folder."""
        model = self.folder / "models" / name
        model.mkdir(parents=True, exist_ok=True)
        (model / "model.yaml").write_text(yaml.format(name=name))
        if py is not None:
            (model / "model.py").write_text(py)
        return model

    def commit(self) -> str:
        """Commit everything; the commit's id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "Change a model")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The train/ folder of the model above. Look, do not touch."""
    from hera_workflows.steps.train import train_model

    folder = tmp_path_factory.mktemp("trained")
    project = Project(folder / "project")
    project.write()
    return train_model(project.folder, project.commit(), "clouds", folder / "work")
