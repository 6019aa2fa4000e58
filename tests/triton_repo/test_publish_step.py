"""The step publishes a run's candidate, or says why not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from triton_toys import COMMIT, Keys, make_candidate, make_draft

from hera_workflows.learning.trained import Trained
from hera_workflows.steps.publish import publish_candidate
from hera_workflows.workspace import source_folder, validation_file
from slipway.errors import Rejected
from slipway.verdict import Outcome
from triton_repo.config import signature_of
from triton_repo.golden import load_golden
from triton_repo.store import ModelStore


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """`<workspace>/run-1/toy` as validate leaves it."""
    folder = tmp_path / "workspace" / "run-1" / "toy"
    candidate = make_candidate(folder / "candidate")
    draft = make_draft(candidate)
    validation_file(folder).parent.mkdir()
    validation_file(folder).write_text(draft.validation.model_dump_json())
    (folder / "train").mkdir()
    trained = Trained(
        spec=draft.spec,
        source_commit=COMMIT,
        data=draft.data,
        training=draft.training,
        tools=draft.tools,
        signature=signature_of(load_golden(candidate / "golden.npz")).to_json(),
    )
    (folder / "train" / "training.json").write_text(trained.model_dump_json())
    pushed = source_folder(folder) / "models" / "toy"
    pushed.mkdir(parents=True)
    (pushed / "model.yaml").write_text("name: toy\ntask: regression\nserving: {max_batch: 8}\n")
    return folder


def test_the_step_writes_number_and_digest_for_the_workflow(
    store: ModelStore, keys: Keys, run_folder: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "hera_workflows.steps.publish", "--model", "toy", "--run", "run-1"]
    command += ["--commit", COMMIT, "--workspace", str(tmp_path / "workspace"), "--store", store.root]
    command += ["--key", str(keys.private), "--outputs", str(tmp_path)]
    for _ in range(2):
        subprocess.run(command, check=True, timeout=60, capture_output=True)
        assert (tmp_path / "number").read_text() == "1"
        assert (tmp_path / "digest").read_text() == store.version("toy", 1).digest


def test_the_step_says_in_one_line_what_is_wrong_and_how_to_go_on(store: ModelStore, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hera_workflows.steps.publish", "--model", "toy", "--run", "run-1"]
    command += ["--commit", COMMIT, "--workspace", str(tmp_path), "--store", store.root]
    command += ["--key", str(tmp_path / "none.key"), "--outputs", str(tmp_path)]
    done = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
    assert done.returncode == 65
    assert len(done.stderr.splitlines()) == 1
    assert "training.json is absent" in done.stderr


def test_gates_that_training_wrote_over_are_not_published(
    store: ModelStore, keys: Keys, run_folder: Path, tmp_path: Path
) -> None:
    training = run_folder / "train" / "training.json"
    content = json.loads(training.read_bytes())
    content["spec"]["promotion"]["approval"] = "automatic"
    training.write_text(json.dumps(content))
    command = [sys.executable, "-m", "hera_workflows.steps.publish", "--model", "toy", "--run", "run-1"]
    command += ["--commit", COMMIT, "--workspace", str(tmp_path / "workspace"), "--store", store.root]
    command += ["--key", str(keys.private), "--outputs", str(tmp_path)]
    done = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
    assert done.returncode == 65
    assert "training.json has another model.yaml than models/toy/model.yaml of the push" in done.stderr
    assert store.models() == []


def test_a_model_that_failed_validation_is_not_published(store: ModelStore, keys: Keys, run_folder: Path) -> None:
    path = validation_file(run_folder)
    path.write_text(path.read_text().replace(f'"outcome":"{Outcome.PASS}"', f'"outcome":"{Outcome.FAIL}"'))
    with pytest.raises(Rejected, match="failed validation"):
        publish_candidate(run_folder, COMMIT, "run-1", store.url, keys.private)


def test_a_candidate_of_another_commit_is_not_published(store: ModelStore, keys: Keys, run_folder: Path) -> None:
    with pytest.raises(Rejected, match="start a new run"):
        publish_candidate(run_folder, "b" * 40, "run-1", store.url, keys.private)


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"outcome": "PASS"}'])
def test_a_validation_that_cannot_be_read_publishes_nothing(
    store: ModelStore, keys: Keys, run_folder: Path, content: str | None
) -> None:
    validation_file(run_folder).unlink()
    if content is not None:
        validation_file(run_folder).write_text(content)
    with pytest.raises(Rejected, match="validat"):
        publish_candidate(run_folder, COMMIT, "run-1", store.url, keys.private)
    assert store.models() == []


# models, show, diff, verify


@pytest.mark.slow
def test_the_steps_publish_into_a_bucket_and_fetch_from_it(bucket: str, keys: Keys, run_folder: Path) -> None:
    out = run_folder.parent.parent
    steps = [sys.executable, "-m"]
    publish = [
        "hera_workflows.steps.publish",
        "--model",
        "toy",
        "--run",
        "run-1",
        "--commit",
        COMMIT,
        "--store",
        bucket,
    ]
    publish += ["--workspace", str(out), "--key", str(keys.private), "--outputs", str(out)]
    subprocess.run([*steps, *publish], check=True, timeout=120)
    number, digest = (out / "number").read_text(), (out / "digest").read_text()
    fetch = ["hera_workflows.steps.fetch", "--model", "toy", "--number", number, "--digest", digest, "--store", bucket]
    fetch += ["--verify-key", str(keys.public), "--destination", str(out / "models")]
    for _ in range(2):
        subprocess.run([*steps, *fetch], check=True, timeout=120)
    assert sorted(path.name for path in (out / "models" / "toy").iterdir()) == [
        "1",
        "config.pbtxt",
        "manifest.json",
        "manifest.sig",
    ]
