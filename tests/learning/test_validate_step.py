"""The validate step on a real Triton, a real environment repository and a real store."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from gitops.bump import bump
from gitops.seed import default_folder, seed
from hera_workflows.learning.trained import Trained, read_trained
from hera_workflows.steps.validate import validate_model
from hera_workflows.workspace import report_file, validation_file
from slipway.errors import Misconfigured, Rejected
from slipway.manifest import Validation
from slipway.operation import Operation
from slipway.verdict import Outcome
from slipway.version import ModelVersion
from triton_repo.bundle import Draft, publish
from triton_repo.hashing import copy_and_hash
from triton_repo.store import open_store

pytestmark = pytest.mark.slow


class World:
    """A store, an environment repository, and places to work."""

    def __init__(self, folder: Path, trained: Path) -> None:
        from triton_repo.signing import generate_keys

        self.folder, self.trained, self.store = folder, trained, folder / "store"
        self.env, self.key, self.count = folder / "env.git", folder / "signing.key", 0
        self.store.mkdir()
        generate_keys(self.key, folder / "signing.pub")
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", self.env], check=True)
        seed(str(self.env), default_folder())

    def work(self) -> Path:
        """A fresh run with the trained model in it."""
        self.count += 1
        work = self.folder / f"run-{self.count}" / "clouds"
        shutil.copytree(self.trained, work / "train")
        shutil.copytree(self.trained.parents[1] / "project" / "models", work.parent / "source" / "models")
        return work

    def validate(self, work: Path) -> Validation:
        return validate_model("clouds", work, str(self.store), str(self.env), "python")

    def release(self, work: Path, validation: Validation) -> ModelVersion:
        """Publish the candidate of a run and bump the first environment to it."""
        facts = read_trained(work / "train")
        draft = Draft(
            name="clouds",
            created=datetime.now(UTC),
            source_commit=facts.source_commit,
            operation_id=f"publish/{work.parent.name}",
            run=work.parent.name,
            spec=facts.spec,
            data=facts.data,
            training=facts.training,
            validation=validation,
            tools=facts.tools,
        )
        version = publish(open_store(str(self.store)), draft, work / "candidate", self.key)
        operation = Operation(
            id=f"bump/{work.parent.name}",
            action="bump",
            environment="staging",
            version=version,
            source_commit=facts.source_commit,
        )
        bump(str(self.env), version, operation, evidence=None)
        return version

    def edit(self, work: Path, **changes: object) -> None:
        """Change facts of the trained model."""
        path = work / "train" / "training.json"
        value = read_trained(work / "train").model_dump(mode="json")
        value["spec"] |= changes
        path.write_text(Trained.model_validate(value).model_dump_json())


@pytest.fixture
def world(tmp_path: Path, trained: Path) -> World:
    return World(tmp_path, trained)


def reasons(validation: Validation) -> dict[str, str]:
    return {check.name: check.reason for check in validation.checks}


def test_a_first_version_passes_and_leaves_a_candidate_that_publish_takes(world: World):
    work = world.work()
    validation = world.validate(work)
    assert validation.outcome is Outcome.PASS
    assert validation.p95_ms > 0
    assert validation.throughput > 0
    assert sorted(
        p.relative_to(work / "candidate").as_posix() for p in (work / "candidate").rglob("*") if p.is_file()
    ) == [
        "golden.npz",
        "model/model.onnx",
        "model/model.py",
        "report.html",
        "weights.safetensors",
    ]
    for path, entry in validation.files.items():
        with (work / "candidate" / path).open("rb") as file:
            assert copy_and_hash(file) == entry
    assert world.release(work, validation).number == 1


def test_validating_again_changes_nothing(world: World):
    work = world.work()
    first = world.validate(work)
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*")}
    assert world.validate(work) == first
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*")} == before


def test_nothing_that_training_wrote_beside_its_model_becomes_the_candidate(world: World):
    work, elsewhere = world.work(), world.folder / "elsewhere"
    elsewhere.mkdir()
    (work / ".candidate.partial").symlink_to(elsewhere)
    (work / "candidate" / "model").mkdir(parents=True)
    (work / "candidate" / "model" / "model.py").write_text("import evil")
    (work / "validation.json").write_text('{"outcome": "PASS"}')
    world.validate(work)
    assert "evil" not in (work / "candidate" / "model" / "model.py").read_text()
    assert list(elsewhere.iterdir()) == []


def test_a_link_in_place_of_a_file_is_refused(world: World):
    work = world.work()
    (work / "train" / "model.onnx.data").symlink_to(world.key)
    with pytest.raises(Rejected, match=r"model\.onnx\.data is a link"):
        world.validate(work)
    assert not validation_file(work).exists()


def test_the_same_model_again_passes_against_itself(world: World):
    first = world.work()
    world.release(first, world.validate(first))
    again = world.validate(world.work())
    assert (again.outcome, again.champion) == (Outcome.PASS, "clouds@1")
    assert reasons(again)["champion"] == "byte for byte the model of clouds@1"


def test_a_worse_model_is_refused_with_exit_65_after_the_report_is_written(world: World):
    first = world.work()
    world.release(first, world.validate(first))
    work = world.work()
    make_worse(work / "train")
    command = [sys.executable, "-m", "hera_workflows.steps.validate", "--model=clouds", f"--run={work.parent.name}"]
    command += [f"--workspace={world.folder}", f"--store={world.store}", f"--env-repo={world.env}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 65
    assert done.stderr.splitlines()[-1].startswith("slipway: clouds is refused: ")
    assert "champion: accuracy 0." in done.stderr
    assert Validation.model_validate_json(validation_file(work).read_bytes()).outcome is Outcome.FAIL
    assert "Refused" in report_file(work).read_text()
    assert report_file(work).read_text() == (work / "candidate" / "report.html").read_text()


def make_worse(train: Path) -> None:
    """Swap the meaning of two classes: the model and its golden answers agree, and are wrong."""
    import onnx
    from onnx import helper, numpy_helper

    from triton_repo.golden import Golden, load_golden

    model = onnx.load(train / "model.onnx")
    order = np.array([1, 0, 2], np.int64)
    model.graph.initializer.append(numpy_helper.from_array(order, "order"))
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            if name == "probabilities":
                node.output[index] = "straight"
    model.graph.node.append(helper.make_node("Gather", ["straight", "order"], ["probabilities"], axis=1))
    onnx.save(model, train / "model.onnx")
    golden = load_golden(train / "golden.npz")
    Golden(golden.inputs, {"probabilities": golden.outputs["probabilities"][:, order]}).save(train / "golden.npz")


def test_a_model_that_answers_otherwise_than_pytorch_did_is_refused(world: World):
    from triton_repo.golden import Golden, load_golden

    work = world.work()
    golden = load_golden(work / "train/golden.npz")
    Golden(golden.inputs, {"probabilities": golden.outputs["probabilities"] + 0.01}).save(work / "train/golden.npz")
    validation = world.validate(work)
    assert validation.outcome is Outcome.FAIL
    assert reasons(validation)["serves http batch 8"].endswith("differ from PyTorch by more than 0.0001")


def test_a_model_that_triton_does_not_load_is_refused_with_what_triton_said(world: World):
    work = world.work()
    value = read_trained(work / "train").model_dump(mode="json")
    value["signature"]["outputs"][0]["name"] = "other"
    (work / "train" / "training.json").write_text(Trained.model_validate(value).model_dump_json())
    validation = world.validate(work)
    assert validation.outcome is Outcome.FAIL
    assert reasons(validation)["serves"].startswith(
        ("Triton does not load it: ", "Triton does not survive loading it ")
    )


def test_a_model_that_is_too_slow_is_refused(world: World):
    work = world.work()
    world.edit(work, serving={"max_batch": 8, "p95_ms": "<= 0.001"})
    validation = world.validate(work)
    assert validation.outcome is Outcome.FAIL
    assert reasons(validation)["p95_ms"].endswith("ms for batch 1 on this machine; <= 0.001 needed")


def test_a_champion_with_other_classes_leaves_the_verdict_open(world: World):
    first = world.work()
    world.release(first, world.validate(first))
    work = world.work()
    world.edit(work, classes=["a", "b", "c"])
    validation = world.validate(work)
    assert (validation.outcome, validation.champion) == (Outcome.INCONCLUSIVE, "clouds@1")
    assert reasons(validation)["champion"] == "clouds@1 has other classes: they cannot be compared"


def test_a_champion_whose_files_were_damaged_leaves_the_verdict_open(world: World):
    first = world.work()
    world.release(first, world.validate(first))
    damaged = world.store / "clouds/1/1/model.onnx"
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    work = world.work()
    validation = world.validate(work)
    assert validation.outcome is Outcome.INCONCLUSIVE
    assert "is not the file that was published" in reasons(validation)["champion"]


def test_the_verdict_names_the_node_of_the_try_that_ended_well(world: World):
    work = world.work()
    for node in ("push-1-101", "push-1-202"):
        validate_model("clouds", work, str(world.store), str(world.env), "python", node)
        assert Validation.model_validate_json(validation_file(work).read_bytes()).node == node


def test_an_environment_repository_that_is_not_there_is_a_setting_to_change(world: World):
    work = world.work()
    with pytest.raises(Misconfigured, match="is not a git repository"):
        validate_model("clouds", work, str(world.store), str(world.folder / "none.git"), "python")
    assert not validation_file(work).exists()


def test_a_run_without_a_trained_model_is_refused(world: World):
    work = world.folder / "empty"
    with pytest.raises(Rejected, match="training ended without a model; read the log of the train step"):
        world.validate(work)


def test_a_test_split_with_nan_is_refused(world: World):
    work = world.work()
    path = work / "train/test/inputs-input.npy"
    inputs = np.load(path)
    inputs[7, 0] = np.nan
    np.save(path, inputs)
    with pytest.raises(Rejected, match='data\\("test"\\): input input has NaN or infinity in sample 7'):
        world.validate(work)


def test_an_empty_test_split_is_refused(world: World):
    work = world.work()
    np.save(work / "train/test/inputs-input.npy", np.zeros((0, 4), "float32"))
    np.save(work / "train/test/labels.npy", np.zeros(0, int))
    with pytest.raises(Rejected, match='data\\("test"\\) is empty'):
        world.validate(work)


def test_a_file_that_is_no_onnx_model_is_refused(world: World):
    work = world.work()
    (work / "train/model.onnx").write_bytes(b"not a model")
    with pytest.raises(Rejected, match="ONNX Runtime cannot load it"):
        world.validate(work)


def test_no_triton_is_left_running(world: World):
    world.validate(world.work())
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in running if b"slipway-serve-" in line and str(world.folder).encode() in line]
