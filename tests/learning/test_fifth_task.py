"""A fifth task type is one module: `init`, `check`, train and validate take it in a copy where nothing else differs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gitops.seed import default_folder, seed
from hera_workflows.workspace import validation_file
from slipway.manifest import Validation
from slipway.verdict import Outcome

ROOT = Path(__file__).parents[2]
MODULE = Path(__file__).with_name("multilabel_classification.py")


@pytest.mark.slow
def test_a_fifth_task_type_is_one_module_and_no_edit_elsewhere(project, tmp_path: Path):
    copy = tmp_path / "packages"
    for package in ("slipway", "gitops", "triton_repo", "hera_workflows"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(MODULE, copy / "hera_workflows" / "learning" / "tasks")

    def python(module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", module, *arguments]
        subprocess.run(
            command, cwd=project.folder, env={**os.environ, "PYTHONPATH": str(copy)}, check=True, timeout=250
        )

    python("hera_workflows", "init", "fruit", "--task", "multilabel-classification", "--into", "models")
    python("hera_workflows", "check", "models/fruit")
    workspace, store, env_repo = tmp_path / "workspace", tmp_path / "store", tmp_path / "env.git"
    work, source = workspace / "run" / "fruit", workspace / "run" / "source"
    for folder in (work, store):
        folder.mkdir(parents=True)
    commit = project.commit()
    project.git("clone", "--quiet", str(project.folder), str(source))
    project.git("init", "--quiet", "--bare", "--initial-branch=main", str(env_repo))
    seed(str(env_repo), default_folder())
    given = ["--source", str(source), "--commit", commit, "--datasets", str(tmp_path / "datasets")]
    python("hera_workflows.steps.train", "--model", "fruit", "--work", str(work), *given)
    given = ["--store", str(store), "--env-repo", str(env_repo), "--workspace", str(workspace)]
    python("hera_workflows.steps.validate", "--model", "fruit", "--run", "run", *given)
    judged = Validation.model_validate_json(validation_file(work).read_bytes())
    assert (judged.outcome, set(judged.metrics)) == (Outcome.PASS, {"micro_f1", "hamming_loss"})
