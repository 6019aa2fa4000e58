"""The examples: what ships with slipway reaches its own gates."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

import pytest

from hera_workflows.learning import dataset
from hera_workflows.learning.inference import open_session, predict
from hera_workflows.learning.serving_gate import Served
from hera_workflows.learning.tasks import load_task, task_names
from hera_workflows.learning.trained import read_trained
from hera_workflows.learning.validation import Judged, judge
from hera_workflows.steps.train import train_model
from slipway.verdict import Check, Outcome, Verdict

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).parents[2] / "examples" / "models"


def judged(project, name: str, work: Path) -> Judged:
    """Train a model of the project and judge it; serving is tested elsewhere."""
    train = train_model(project.folder, project.commit(), name, work)
    trained, test = read_trained(train), dataset.read_split(train / "test")
    output = predict(open_session(train / "model.onnx"), test.inputs)
    served = Served([Check(name="serves", verdict=Verdict.PASS, reason="")], {}, (), None, None)
    return judge(trained, load_task(trained.spec.task), test, output, None, served)


def cpu() -> float:
    """Seconds of CPU of this process and of those that it started, as far as they have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def test_digits_reaches_97_percent_in_well_under_a_minute_of_training(project, tmp_path: Path):
    shutil.copytree(EXAMPLES / "digits", project.folder / "models" / "digits")
    begin = cpu()
    result = judged(project, "digits", tmp_path / "work")
    assert result.validation.outcome is Outcome.PASS, result.validation.checks
    assert result.validation.metrics["accuracy"].value >= 0.97
    assert {slice_.value for slice_ in result.slices if slice_.check} == {"faint", "medium", "bold"}
    assert 0 < cpu() - begin < 60


@pytest.mark.parametrize("task", task_names())
def test_what_init_writes_trains_and_passes_its_own_gates(project, tmp_path: Path, task: str):
    chosen = load_task(task)
    project.write("mine", yaml=chosen.EXAMPLE_YAML, py=chosen.EXAMPLE_PY)
    result = judged(project, "mine", tmp_path / "work")
    assert result.validation.outcome is Outcome.PASS, result.validation.checks
