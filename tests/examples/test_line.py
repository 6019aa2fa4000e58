"""The line, from a CSV to a published version: gradient descent finds what the closed form says."""

from __future__ import annotations

import csv
import os
import subprocess
import sys

import numpy as np
import pytest
from example_yard import EXAMPLES, Shipped, Yard

from slipway.errors import Rejected
from slipway.verdict import Outcome


@pytest.fixture(scope="module")
def shipped(yard: Yard) -> Shipped:
    yard.take("line")
    return yard.ship("line")


def closed_form() -> tuple[float, float]:
    """(w, b) of least squares on the training points."""
    with (EXAMPLES / "line" / "points.csv").open() as file:
        rows = [(float(row["x"]), float(row["y"])) for n, row in enumerate(csv.DictReader(file)) if n % 10 < 6]
    x, y = np.asarray(rows).T
    w, b = np.linalg.lstsq(np.stack([x, np.ones_like(x)], axis=1), y, rcond=None)[0]
    return float(w), float(b)


def learned(shipped: Shipped) -> tuple[float, float]:
    from safetensors.numpy import load_file

    weights = load_file(shipped.folder / "train" / "weights.safetensors")
    return float(weights["weight"][0, 0]), float(weights["bias"][0])


@pytest.mark.slow
def test_gradient_descent_learns_what_least_squares_says(shipped: Shipped):
    assert learned(shipped) == pytest.approx(closed_form(), abs=1e-3)


@pytest.mark.slow
def test_what_was_learned_is_near_the_truth_that_the_points_were_made_with(shipped: Shipped):
    # 300 points with noise of deviation 0.5: w is known to 0.017, b to 0.029 (one deviation).
    assert learned(shipped) == pytest.approx((3.0, 2.0), abs=0.1)


@pytest.mark.slow
def test_the_line_passes_its_gates_on_a_real_triton(shipped: Shipped):
    assert shipped.validation.outcome is Outcome.PASS, shipped.validation.checks
    assert {"mean_absolute_error", "max_absolute_error"} <= {check.name for check in shipped.validation.checks}


@pytest.mark.slow
def test_the_manifest_says_which_csv_was_read(shipped: Shipped):
    entry = shipped.manifest.data.sets["points"]
    assert (entry.url, entry.size) == ("points.csv", (EXAMPLES / "line" / "points.csv").stat().st_size)


@pytest.mark.slow
def test_check_looks_at_the_declared_data(yard: Yard, shipped: Shipped):
    command = [sys.executable, "-m", "hera_workflows", "check", "models/line"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(yard.root / "cache")}
    done = subprocess.run(command, cwd=yard.project, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_another_content_than_the_declared_one_is_refused_before_the_models_code_runs(yard: Yard, shipped: Shipped):
    folder = yard.project / "models" / "line"
    wrong, yaml = f"sha256:{'0' * 64}", folder / "model.yaml"
    yaml.write_text(yaml.read_text().replace("format: csv", f"format: csv, digest: '{wrong}'"))
    (folder / "model.py").write_text("raise SystemExit('people\\'s code ran')\n")
    with pytest.raises(Rejected) as caught:
        yard.ship("line", "push-2")
    assert str(caught.value) == (
        f"data.points: points.csv has {shipped.manifest.data.sets['points'].digest}, model.yaml says {wrong}; "
        "look why it changed, then correct the digest or the url"
    )


@pytest.mark.slow
def test_a_model_that_starts_from_a_champion_with_other_layers_is_refused(yard: Yard, shipped: Shipped):
    folder = yard.project / "models" / "line"
    for name in ("model.py", "model.yaml"):
        (folder / name).write_text((EXAMPLES / "line" / name).read_text())
    (folder / "model.yaml").write_text(
        (folder / "model.yaml").read_text().replace("train:\n", "train:\n  from: champion\n")
    )
    (folder / "model.py").write_text(
        (folder / "model.py").read_text().replace("nn.Linear(1, 1)", "nn.Sequential(nn.Linear(1, 1))")
    )
    with pytest.raises(Rejected, match="no layer agrees with line@1 in name and shape"):
        yard.ship("line", "push-3")
