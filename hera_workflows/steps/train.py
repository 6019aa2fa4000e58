"""Train one model at one commit, and leave everything that later steps need as plain data."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from hera_workflows.learning.datasets import fetch_sets
from hera_workflows.learning.job import do
from hera_workflows.learning.trained import read_trained
from hera_workflows.learning.worker import Job
from hera_workflows.models import read_spec
from hera_workflows.steps import run_step
from slipway.errors import Misconfigured, Rejected
from slipway.names import check_commit, check_model

__all__ = ["train", "train_model"]

_FOLDER = click.Path(file_okay=False, path_type=Path)

MAX_OUTPUT = 64 << 20  # bytes of the model's own output that go into the log


@click.command()
@click.option("--source", required=True, type=_FOLDER, help="The tree of the commit, as plan left it; read only.")
@click.option("--commit", required=True, help="The commit that the tree is of, in full.")
@click.option("--model", required=True, help="The model's name.")
@click.option("--work", required=True, type=_FOLDER, help="The run's folder for this model.")
@click.option("--datasets", required=True, type=_FOLDER, help="Where this model's data sets are kept between runs.")
def train(source: Path, commit: str, model: str, work: Path, datasets: Path) -> None:
    """Train a model; a run that was killed goes on from its last checkpoint."""
    train_model(source.absolute(), check_commit(commit), check_model(model), work.absolute(), cache=datasets.absolute())


def train_model(
    source: Path, commit: str, model: str, folder: Path, *, cache: Path | None = None, kill_at: str | None = None
) -> Path:
    """Train `model` from the tree `source` of `commit` into `folder`/train and return that; a finished one stays.

    cache: where data sets are kept between runs; in `folder` when left out.
    Raises Rejected when the model's files, its data sets or its code are refused, TryAgain when the process was killed,
    Misconfigured when there is no such tree.
    """
    output = folder / "train"
    if output.exists():
        click.echo(f"{output} is there already; nothing to do")
        return output
    if not source.is_dir():
        raise Misconfigured(f"{source} is no folder; give the tree that the plan step of this run wrote")
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
