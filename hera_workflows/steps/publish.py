"""Write a validated candidate into the model store as the next version."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from pydantic import ValidationError

from hera_workflows.learning.trained import check_spec, read_trained
from hera_workflows.steps import run_step
from hera_workflows.workspace import source_folder, validation_file, work_folder
from slipway.errors import Misconfigured, Rejected
from slipway.manifest import Validation
from slipway.names import check_commit, check_model
from slipway.verdict import Outcome
from slipway.version import ModelVersion
from triton_repo.bundle import Draft
from triton_repo.config import Signature

__all__ = ["publish", "publish_candidate"]


@click.command()
@click.option("--model", required=True, help="The model's name.")
@click.option("--run", "run_name", required=True, help="The workflow's name; its folder in the workspace.")
@click.option("--commit", required=True, help="The commit that was trained, in full.")
@click.option("--workspace", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--store", "store_url", required=True, help="The model store: a folder or an fsspec URL.")
@click.option("--key", required=True, type=click.Path(path_type=Path), help="The private signing key (PEM, P-256).")
@click.option("--outputs", required=True, type=click.Path(file_okay=False, path_type=Path))
def publish(model: str, run_name: str, commit: str, workspace: Path, store_url: str, key: Path, outputs: Path) -> None:
    """Publish the candidate of a run; files `number` and `digest` in --outputs say which version it became."""
    folder = work_folder(workspace, run_name, check_model(model))
    check_spec(read_trained(folder / "train"), source_folder(folder))
    version = publish_candidate(folder, check_commit(commit), run_name, store_url, key)
    try:
        (outputs / "number").write_text(str(version.number))
        (outputs / "digest").write_text(version.digest)
    except OSError as error:
        raise Misconfigured(f"--outputs {outputs}: {error.strerror}; give a folder that can be written") from None
    click.echo(f"published {version} ({version.digest})")


def publish_candidate(folder: Path, commit: str, run_name: str, store_url: str, key: Path) -> ModelVersion:
    """Publish `folder`/candidate with what training.json and validate's verdict say of it; twice is once.

    Raises Rejected when validation failed, or its files, the model or the commit are not those of this run.
    """
    from triton_repo.bundle import publish
    from triton_repo.store import open_store

    trained = read_trained(folder / "train")
    validation = _read_validation(validation_file(folder))
    model = folder.name
    if (trained.spec.name, trained.source_commit) != (model, commit):
        raise Rejected(
            f"{folder}/train holds {trained.spec.name} at {trained.source_commit[:12]}, "
            f"not {model} at {commit[:12]}; start a new run"
        )
    if validation.outcome is Outcome.FAIL:
        raise Rejected(f"{model} at {commit[:12]} failed validation; see {folder}/candidate/report.html")
    draft = Draft(
        name=model,
        created=datetime.now(UTC),
        source_commit=commit,
        operation_id=f"publish/{run_name}/{model}",
        run=run_name,
        spec=trained.spec,
        data=trained.data,
        training=trained.training,
        validation=validation,
        tools=trained.tools,
    )
    signature = Signature.from_json(trained.signature)
    return publish(open_store(store_url), draft, folder / "candidate", key, signature=signature)


def _read_validation(path: Path) -> Validation:
    try:
        return Validation.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise Rejected(f"{path} is absent: the candidate was not validated; read the log of validate") from None
    except (ValidationError, OSError) as error:
        raise Rejected(f"{path} cannot be read ({str(error).splitlines()[0]}); validate again") from None


if __name__ == "__main__":
    run_step(publish)
