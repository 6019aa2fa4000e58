"""Train one model at one commit, and leave everything that later steps need as plain data."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from hera_workflows.learning.datasets import fetch_sets
from hera_workflows.learning.job import do
from hera_workflows.learning.source import check_out
from hera_workflows.learning.trained import read_trained
from hera_workflows.learning.worker import Job
from hera_workflows.models import read_spec
from hera_workflows.steps import run_step
from slipway.errors import Misconfigured, Rejected
from slipway.names import check_commit, check_model

__all__ = ["train", "train_model"]

MAX_OUTPUT = 64 << 20  # bytes of the model's own output that go into the log


@click.command()
@click.option("--source-repo", required=True, help="The repository with models/NAME/.")
@click.option("--commit", required=True, help="The commit to train at, in full.")
@click.option("--model", required=True, help="The model's name.")
@click.option("--run", "run_name", required=True, help="The workflow's name; its folder in the workspace.")
@click.option("--workspace", required=True, type=click.Path(file_okay=False, path_type=Path))
def train(source_repo: str, commit: str, model: str, run_name: str, workspace: Path) -> None:
    """Train a model; a run that was killed goes on from its last checkpoint."""
    folder = work_folder(workspace, run_name, model)
    train_model(source_repo, check_commit(commit), check_model(model), folder, cache=workspace.absolute() / "datasets")


def work_folder(workspace: Path, run_name: str, model: str) -> Path:
    """The folder of one model in one run; raises Misconfigured when the run's name is not one path component."""
    if not run_name or len(run_name) > 200 or run_name in (".", "..") or any(c in run_name for c in "/\0\n"):
        raise Misconfigured(f"--run {run_name[:80]!r} is not a workflow's name; give one word")
    return workspace.absolute() / run_name / check_model(model)


def train_model(
    source_repo: str, commit: str, model: str, folder: Path, *, cache: Path | None = None, kill_at: str | None = None
) -> Path:
    """Train `model` at `commit` into `folder`/train and return that; a finished training is left as it is.

    cache: where data sets are kept between runs; in `folder` when left out.
    Raises Rejected when the model's files, its data sets or its code are refused, TryAgain when the process was killed.
    """
    output = folder / "train"
    if output.exists():
        click.echo(f"{output} is there already; nothing to do")
        return output
    source = folder / "source"
    check_out(source_repo, commit, source)
    place = Path("models") / model
    yaml = source / place / "model.yaml"
    if not yaml.is_file():
        raise Rejected(f"{place}/model.yaml is absent at commit {commit[:12]}; add it, or remove the whole folder")
    spec = read_spec(yaml.read_bytes(), f"{place}/model.yaml")
    if spec.name != model:
        raise Rejected(f"{place}/model.yaml: name is {spec.name}; write `name: {model}` or rename the folder")
    sets = fetch_sets(spec.data, source / place, cache or folder / "datasets")
    job = Job(
        kind="train",
        root=source,
        file=source / place / "model.py",
        spec=spec,
        result=folder,
        commit=commit,
        output=output,
        checkpoints=folder / "checkpoints",
        sets=sets,
        start=folder / "start" if spec.train.start == "champion" else None,
        kill_at=kill_at,
    )
    do(job, timeout=spec.train.timeout.total_seconds(), max_output=MAX_OUTPUT, forward=_forward)
    trained = read_trained(output)
    shutil.rmtree(source, ignore_errors=True)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    loss = trained.training["loss"]
    click.echo(
        f"trained {model} in {trained.training['seconds']:.1f} s on {trained.training['device']}"
        + (f", loss {loss:.4f}" if loss is not None else "")
        + f"; {output}"
    )
    return output


def _forward(chunk: bytes) -> None:
    sys.stdout.flush()
    view = memoryview(chunk)
    while view:
        view = view[os.write(sys.stdout.fileno(), view) :]


if __name__ == "__main__":
    run_step(train)
