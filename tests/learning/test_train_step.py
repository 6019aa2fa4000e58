"""The train step: what it leaves, that a kill at any point changes nothing, and what it refuses."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from hera_workflows.learning.dataset import read_split
from hera_workflows.learning.inference import open_session, predict
from hera_workflows.learning.trained import read_trained
from hera_workflows.learning.worker import Job
from hera_workflows.learning.worker import train as do_train
from hera_workflows.steps.train import train_model
from hera_workflows.workspace import work_folder
from slipway.errors import Misconfigured, Rejected
from triton_repo.golden import load_golden

pytestmark = pytest.mark.slow

POINTS = (
    "data-read",
    "checkpoint-written",
    "checkpoint-synced",
    "checkpoint-renamed",
    "epoch-2",
    "epoch-4",
    "epoch-6",
    "trained",
    "exported",
    "written",
    "renamed",
)


def command_for(project, commit: str, workspace: Path) -> list[str]:
    """The step as a pod runs it."""
    flags = {"source": project.folder, "commit": commit, "model": "clouds", "work": workspace / "r1" / "clouds"}
    flags["datasets"] = workspace / "datasets" / "clouds"
    return [sys.executable, "-m", "hera_workflows.steps.train", *(f"--{k}={v}" for k, v in flags.items())]


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


def end(job: Job) -> int | None:
    """The exit code of a process of its own that does the job; torch is loaded there once for all of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hera_workflows.learning.export", "hera_workflows.learning.context", "onnxscript"])
    process = context.Process(target=do_train, args=(job,))
    process.start()
    process.join(120)
    return process.exitcode


def test_a_training_killed_at_every_point_ends_at_the_weights_of_an_unbroken_one(
    project, trained: Path, tmp_path: Path
):
    file = project.write() / "model.py"
    facts = read_trained(trained)
    job = Job(
        kind="train",
        root=project.folder,
        file=file,
        spec=facts.spec,
        result=tmp_path / "result.json",
        commit=facts.source_commit,
        output=tmp_path / "train",
        checkpoints=tmp_path / "checkpoints",
    )
    for point in POINTS:
        killed = end(job.model_copy(update={"kill_at": point}))
        assert killed == -signal.SIGKILL, point
        # Nothing half-written is visible: the folder is whole, or it is not there.
        assert job.output.exists() == (point == "renamed"), point
    assert weights(job.output) == weights(trained)
    assert read_trained(job.output).training["curve"] == read_trained(trained).training["curve"]


def test_a_step_killed_in_the_middle_of_an_epoch_takes_its_child_along_and_goes_on_later(project, tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    head = "        for x, y in"
    wait = f"        if _ == 2:\n            print('in epoch 3', flush=True), open({str(pipe)!r}).read()\n"
    project.write(py=project.py.replace(head, wait + head))
    commit = project.commit()
    command = command_for(project, commit, tmp_path / "workspace")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while "in epoch 3" not in process.stdout.readline():
            assert process.poll() is None
        process.kill()
        # The child holds the pipe of its output open; it ends with the step, so this returns.
        process.stdout.read()
    pipe.unlink()
    pipe.write_text("go on")
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "resuming after epoch" in done.stdout


def test_a_model_that_kills_its_parent_ends_with_it(project, tmp_path: Path):
    project.write(py="import os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(300)\n")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = command_for(project, project.commit(), tmp_path / "workspace")
    done = subprocess.run(command, env={**os.environ, "TMPDIR": str(scratch)}, timeout=120)
    assert done.returncode == -signal.SIGKILL
    # Its worker has its job's path on its command line.
    wait_until(lambda: not any(str(scratch) in word for p in processes() for word in p))


def processes() -> list[list[str]]:
    """The command line of every living process."""
    return [p.info["cmdline"] or [] for p in psutil.process_iter(["cmdline"])]


def wait_until(condition, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_training_leaves_plain_data_only(trained: Path):
    assert sorted(path.relative_to(trained).as_posix() for path in trained.rglob("*") if path.is_file()) == [
        "golden.npz",
        "model.onnx",
        "test/inputs-input.npy",
        "test/labels.npy",
        "test/slices.npz",
        "training.json",
        "weights.safetensors",
    ]
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in trained.rglob("*"))


def test_training_cleans_up_its_checkpoints(trained: Path):
    assert [path.name for path in trained.parent.iterdir()] == ["train"]


def test_the_exported_model_answers_as_pytorch_did_for_one_and_for_many(trained: Path):
    golden, session = load_golden(trained / "golden.npz"), open_session(trained / "model.onnx")
    assert len(golden) == 64
    for batch in (1, 7, 64):
        assert predict(session, golden.inputs, batch=batch) == pytest.approx(golden.outputs["probabilities"], abs=1e-5)


def test_probabilities_sum_to_one(trained: Path):
    assert load_golden(trained / "golden.npz").outputs["probabilities"].sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_the_test_split_reads_back_as_data_gave_it(trained: Path):
    split = read_split(trained / "test")
    assert (split.inputs["input"].shape, split.labels.shape) == ((300, 4), (300,))
    assert set(split.slices["half"]) == {"upper", "lower"}
    assert isinstance(split.inputs["input"], np.memmap)


def test_training_json_says_what_was_learned_from(trained: Path):
    facts = read_trained(trained)
    assert facts.data.counts == {"train": 300, "validation": 300, "test": 300}
    assert sum(facts.data.classes.values()) == 300
    assert (facts.training["epochs"], facts.training["seed"], len(facts.training["curve"])) == (6, 0, 6)
    assert facts.signature["outputs"] == [{"name": "probabilities", "datatype": "FP32", "dims": [3]}]


def test_training_that_is_done_is_not_done_again(project, trained: Path):
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    train_model(Path("/nowhere"), "0" * 40, "clouds", trained.parent)
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before


def refused(project, tmp_path: Path) -> str:
    with pytest.raises(Rejected) as caught:
        train_model(project.folder, project.commit(), "clouds", tmp_path / "work")
    assert not (tmp_path / "work" / "train").exists()
    return str(caught.value)


def test_without_the_tree_that_plan_writes_training_says_what_is_missing(tmp_path: Path):
    with pytest.raises(Misconfigured, match=r"none is no folder; give the tree that the plan step"):
        train_model(tmp_path / "none", "1" * 40, "clouds", tmp_path / "work")


def test_a_model_without_model_yaml_is_refused(project, tmp_path: Path):
    assert "models/clouds/model.yaml is absent at commit" in refused(project, tmp_path)


def test_a_model_whose_name_is_not_its_folder_is_refused(project, tmp_path: Path):
    project.write(yaml="name: other\ntask: regression\n")
    assert "models/clouds/model.yaml: name is other; write `name: clouds`" in refused(project, tmp_path)


def test_a_train_function_that_raises_is_named_by_its_line(project, tmp_path: Path):
    project.write(py=project.py.replace("    return model\n", "    raise MemoryError('no room')\n"))
    said = refused(project, tmp_path)
    line = project.py.splitlines().index("    return model") + 1
    assert said == f"models/clouds/model.py:{line}: train(ctx) raised MemoryError: no room; correct it there"


def test_a_train_function_that_returns_no_module_is_refused(project, tmp_path: Path):
    project.write(py=project.py.replace("return model\n", "return 3\n"))
    assert "train(ctx) returned int; return the trained torch module" in refused(project, tmp_path)


def test_a_training_past_its_time_limit_is_stopped(project, tmp_path: Path):
    project.write(
        py="while True: pass\n" + project.py, yaml=project.yaml.replace("train: {{", "train: {{timeout: 2s, ")
    )
    assert "models/clouds/model.py: still running after 2s and was stopped" in refused(project, tmp_path)


@pytest.mark.parametrize("name", ["..", "a/b", "", "x" * 201, "a\nb", "datasets"])
def test_a_run_whose_name_could_leave_the_workspace_is_refused(tmp_path: Path, name: str):
    with pytest.raises(Misconfigured, match="is not a workflow's name"):
        work_folder(tmp_path, name, "clouds")


def test_a_truncated_training_json_is_refused(tmp_path: Path, trained: Path):
    content = (trained / "training.json").read_text()
    (tmp_path / "training.json").write_text(content[:100])
    with pytest.raises(Rejected, match=r"training\.json cannot be read"):
        read_trained(tmp_path)
    assert json.loads(content)


EXPORTS = {
    "linalg_eig": "        return self.layer(x) + torch.linalg.eigvals(x[:, :2, None] * x[:, None, :2]).real.sum(-1, keepdim=True)",  # noqa: E501
    "branches on the values": "        return self.layer(x) if x.sum() > -1e9 else -self.layer(x)",
    "must not draw random numbers": "        return self.layer(x) + torch.rand_like(self.layer(x))",
    "changes with the other samples": "        return self.layer(x - x.mean(0))",
    "return logits of shape (64, classes)": "        return self.layer(x)[:, :, None]",
    "NaN or infinite numbers": "        return self.layer(x) / 0 * 0",
}  # fmt: skip


@pytest.mark.parametrize("said", EXPORTS)
def test_a_model_that_cannot_be_served_is_refused_with_the_reason(project, tmp_path: Path, said: str):
    project.write(
        py="import numpy as np\nimport torch\nclass Net(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.layer = torch.nn.Linear(4, 3)\n"
        f"    def forward(self, x):\n{EXPORTS[said]}\n"
        "def data(split):\n    draw = np.random.default_rng(0)\n"
        "    return draw.normal(size=(80, 4)), draw.integers(0, 3, 80)\n"
        "def train(ctx):\n    return Net()\n"
    )
    assert said in refused(project, tmp_path)
