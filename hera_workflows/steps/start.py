"""Copy the weights that training begins with, so that the training pod needs no access to the model store."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from hera_workflows.learning.warm_start import START_JSON, WEIGHTS, Start
from hera_workflows.steps import run_step
from hera_workflows.workspace import work_folder
from slipway.names import check_model

__all__ = ["copy_champion", "start"]


@click.command()
@click.option("--model", required=True, help="The model's name.")
@click.option("--run", "run_name", required=True, help="The workflow's name; its folder in the workspace.")
@click.option("--workspace", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--store", "store_url", required=True, help="The model store, for the champion's weights.")
@click.option("--env-repo", required=True, help="The environment repository, for who the champion is.")
def start(model: str, run_name: str, workspace: Path, store_url: str, env_repo: str) -> None:
    """Copy the champion's weights into the run's folder, for a model.yaml with `train: {from: champion}`."""
    found = copy_champion(model, work_folder(workspace, run_name, check_model(model)), store_url, env_repo)
    click.echo(f"training starts from {found.version}" if found.version else "no version is served yet")


def copy_champion(model: str, folder: Path, store_url: str, env_repo: str) -> Start:
    """The champion's weights as `folder`/start/; what is there already is kept, so that a retried training is the same.

    Raises Rejected when the store's file is not the one that was published, TryAgain when store or repository are away.
    """
    from gitops.environment_repo import read
    from triton_repo.fetch import copy_published
    from triton_repo.runtime.text_pipeline import TEXT_JSON
    from triton_repo.store import find, open_store

    final = folder / "start"
    if (final / START_JSON).is_file():
        return Start.model_validate_json((final / START_JSON).read_bytes())
    staging = folder / ".start.partial"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    snapshot = read(env_repo)
    version = snapshot.release(snapshot.environments.first.name, model)
    found = Start(version=None)
    if version is not None:
        store = open_store(store_url)
        manifest = find(store, model, version.number, version.digest)
        text = f"{version.number}/{TEXT_JSON}"
        for path in [WEIGHTS, *([text] if text in manifest.files else [])]:
            copy_published(store, manifest, path, staging / Path(path).name)
        found = Start(version=str(version), digest=version.digest)
    (staging / START_JSON).write_text(found.model_dump_json())
    staging.rename(final)
    return found


if __name__ == "__main__":
    run_step(start)
