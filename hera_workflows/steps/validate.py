"""Judge one trained model: gates, champion, a real Triton; leave a candidate, a verdict and a report."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Literal

import click

from hera_workflows.learning.trained import check_spec, read_trained
from hera_workflows.steps import run_step
from hera_workflows.workspace import report_file, source_folder, validation_file, work_folder
from slipway.errors import Misconfigured, Rejected
from slipway.manifest import Validation
from slipway.names import check_model
from slipway.verdict import Outcome

__all__ = ["refuse_overtaken", "validate", "validate_model"]


@click.command()
@click.option("--model", required=True, help="The model's name.")
@click.option("--run", "run_name", required=True, help="The workflow's name; its folder in the workspace.")
@click.option("--workspace", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--store", "store_url", required=True, help="The model store, for the champion's files.")
@click.option("--env-repo", required=True, help="The environment repository, for who the champion is.")
@click.option("--source-repo", help="The repository that was pushed to, for whether a newer push was faster.")
@click.option("--branch", default="main", show_default=True, help="Its branch whose pushes count.")
@click.option("--backend", type=click.Choice(["python", "onnxruntime"]), default="python", show_default=True)
@click.option(
    "--node", envvar="ARGO_NODE_ID", help="Argo's node of this step, whose artifact the report is; empty: it is none."
)
def validate(
    model: str,
    run_name: str,
    workspace: Path,
    store_url: str,
    env_repo: str,
    source_repo: str | None,
    branch: str,
    backend: Literal["python", "onnxruntime"],
    node: str | None,
) -> None:
    """Judge a trained model; exit 65 when it is refused, after the report is written."""
    folder = work_folder(workspace, run_name, check_model(model))
    trained = read_trained(folder / "train")
    check_spec(trained, source_folder(folder))
    if source_repo is not None:
        refuse_overtaken(model, trained.source_commit, store_url, env_repo, source_repo, branch)
    validation = validate_model(model, folder, store_url, env_repo, backend, node or None)
    for check in validation.checks:
        click.echo(f"{check.verdict.value:<17} {check.name}: {check.reason}")
    click.echo(f"{validation.outcome.value}; report: {folder / 'candidate' / 'report.html'}")
    if validation.outcome is Outcome.FAIL:
        failed = [f"{check.name}: {check.reason}" for check in validation.checks if check.verdict.value == "FAIL"]
        raise Rejected(f"{model} is refused: {'; '.join(failed)}; see {folder / 'candidate' / 'report.html'}")


def refuse_overtaken(
    model: str, commit: str, store_url: str, env_repo: str, source_repo: str, branch: str = "main"
) -> None:
    """Raise Rejected when the first environment serves a version of a later commit: pushes may end in another order.

    One pipeline of a model runs at a time, so what holds now holds until this one has released.
    """
    from gitops.ancestry import overtaken
    from gitops.environment_repo import read
    from triton_repo.store import find, open_store

    snapshot = read(env_repo)
    environment = snapshot.environments.first.name
    served = snapshot.release(environment, model)
    if served is None:
        return
    try:
        later = find(open_store(store_url), model, served.number, served.digest).source_commit
    except (Rejected, Misconfigured):
        return  # what is served cannot be read, which must not keep a new version from taking its place
    if overtaken(source_repo, commit, by=later, branch=branch):
        raise Rejected(
            f"{environment} serves {served} of {later[:12]}, which was made on top of {commit[:12]}; "
            "push again what should take its place"
        )


def validate_model(
    model: str,
    folder: Path,
    store_url: str,
    env_repo: str,
    backend: Literal["python", "onnxruntime"],
    node: str | None = None,
) -> Validation:
    """Judge `folder`/train into `folder`/candidate, its `report_file` and its `validation_file`; what is there is kept.

    Raises Rejected when there is nothing to judge, TryAgain when the store, the repository or Triton are away.
    """
    from hera_workflows.learning.validation import judge, write_json

    done = validation_file(folder)
    if done.exists():
        kept = Validation.model_validate_json(done.read_bytes()).model_copy(update={"node": node})
        write_json(kept, done)  # the artifact is this try's
        return kept
    from hera_workflows.learning import dataset
    from hera_workflows.learning.champion import find_champion
    from hera_workflows.learning.inference import open_session, predict
    from hera_workflows.learning.report import render_report
    from hera_workflows.learning.serving_gate import serve_candidate
    from hera_workflows.learning.tasks import load_task
    from hera_workflows.learning.text import model_inputs
    from triton_repo.store import open_store

    train = folder / "train"
    trained, test = read_trained(train), dataset.read_split(train / "test")
    task = load_task(trained.spec.task)
    if problems := dataset.problems(test, "test", task, trained.spec.classes):
        raise Rejected("; ".join(problems))
    store = open_store(store_url)
    output = predict(open_session(train / "model.onnx"), model_inputs(train, test.inputs))
    champion = find_champion(
        env_repo, store, model, trained.spec.task, trained.spec.classes, test.inputs, train / "model.onnx"
    )
    staging, candidate = folder / ".candidate.partial", folder / "candidate"
    _remove(staging)
    _lay_out(train, staging, backend)
    served = serve_candidate(trained, staging, backend, store.next_number(model))
    judged = judge(trained, task, test, output, champion, served)
    page = render_report(trained, judged)
    (staging / "report.html").write_text(page)
    # The verdict last: with it, and only with it, the step is done.
    _remove(candidate)
    staging.rename(candidate)
    done.parent.mkdir(exist_ok=True)
    report_file(folder).write_text(page)
    validation = judged.validation.model_copy(update={"node": node})
    write_json(validation, done)
    return validation


def _remove(path: Path) -> None:
    """Whatever stands there: training may have left a link, which must lead nowhere."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _lay_out(train: Path, candidate: Path, backend: Literal["python", "onnxruntime"]) -> None:
    """The folder that publish takes; files are linked, not copied, where the file system can."""
    from triton_repo.runtime import model_files
    from triton_repo.runtime.text_pipeline import TEXT_JSON

    (candidate / "model").mkdir(parents=True)
    for source in sorted([*train.glob("model.onnx*"), *train.glob(TEXT_JSON)]):
        _link(source, candidate / "model" / source.name)
    for name, content in model_files(backend, text=(train / TEXT_JSON).exists()).items():
        (candidate / "model" / name).write_bytes(content)
    for name in ("golden.npz", "weights.safetensors"):
        _link(train / name, candidate / name)


def _link(source: Path, target: Path) -> None:
    if source.is_symlink():
        raise Rejected(f"{source} is a link; training must leave the file itself")
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


if __name__ == "__main__":
    run_step(validate)
