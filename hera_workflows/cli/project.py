"""Commands that a data scientist runs in the project: init, check, schema."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slipway.errors import Rejected
from slipway.names import check_model

if TYPE_CHECKING:
    from slipway.spec import ModelSpec

__all__ = ["check", "init", "schema"]

CHECK_SECONDS = 120.0
CHECK_OUTPUT = 1 << 20  # bytes that model.py may print before the rest is dropped


@click.command()
@click.argument("name")
@click.option("--task", required=True, help="binary-classification, multiclass-classification, regression, …")
@click.option("--into", default="models", show_default=True, type=click.Path(file_okay=False, path_type=Path))
def init(name: str, task: str, into: Path) -> None:
    """Write a working example of a model to models/NAME/.

    \b
    slipway init wines --task multiclass-classification
    slipway init prices --task regression --into models
    """
    from hera_workflows.learning.tasks import load_task

    chosen, folder = load_task(task), into / check_model(name)
    files = {"model.yaml": chosen.EXAMPLE_YAML.format(name=name), "model.py": chosen.EXAMPLE_PY}
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise Rejected(f"{folder} is there already; choose another name, or remove it first") from None
    except OSError as error:
        raise Rejected(f"{folder} cannot be made ({error.strerror}); give another folder with --into") from None
    for file, text in files.items():
        (folder / file).write_text(text)
        click.echo(f"wrote {folder / file}")
    click.echo(f"next: slipway check {folder}, then git add, commit and push")


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]…")
@click.option("--timeout", default=CHECK_SECONDS, show_default=True, type=click.FloatRange(1), help="Seconds a model.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of {model, problems}.")
def check(paths: tuple[Path, ...], timeout: float, as_json: bool) -> None:
    """Say everything that is wrong with the models at PATH, all of models/ by default.

    Reads model.yaml, imports model.py in a process of its own, and looks at every split of data(). Trains nothing.

    \b
    slipway check
    slipway check models/digits --timeout 300
    """
    folders = [path.parent if path.name in ("model.yaml", "model.py") else path for path in paths] or _all_models()
    results = []
    for folder in dict.fromkeys(folders):
        problems = _problems(folder, timeout)
        results.append({"model": str(folder), "problems": problems})
        if not as_json:
            for problem in problems:
                click.echo(problem)
            if not problems:
                click.secho(f"{folder}: good", fg="green")
    if as_json:
        click.echo(json.dumps(results, indent=2))
    if count := sum(len(result["problems"]) for result in results):
        raise Rejected(
            f"{count} {'problem' if count == 1 else 'problems'} in {len(results)} models; nothing was trained"
        )


@click.command()
def schema() -> None:
    """Print the JSON Schema of model.yaml, for editors that complete and check it.

    \b
    slipway schema > model.schema.json
    """
    from hera_workflows.models import schema as model_schema

    click.echo(json.dumps(model_schema(), indent=2))


def _all_models() -> list[Path]:
    found = sorted(path.parent for path in Path("models").glob("*/model.yaml"))
    if not found:
        raise Rejected("there is no models/*/model.yaml here; go to the project's folder, or run `slipway init NAME`")
    return found


def _problems(folder: Path, timeout: float) -> list[str]:
    from hera_workflows.models import read_spec

    yaml = folder / "model.yaml"
    if yaml.exists() and not yaml.is_file():
        # git brings links to wherever somebody likes: /dev/zero never ends.
        return [f"{yaml}: not a regular file; write the model's description there"]
    try:
        spec = read_spec(yaml.read_bytes(), str(yaml))
    except OSError as error:
        return [f"{yaml}: {error.strerror or error}; write it, or run `slipway init {folder.name}`"]
    except Rejected as error:
        return str(error).splitlines()
    problems = []
    if spec.name != folder.absolute().name:
        problems.append(f"{yaml}:1:1: name is {spec.name} in the folder {folder.absolute().name}; make them agree")
    return problems + _code_problems(folder, spec, timeout)


def _code_problems(folder: Path, spec: ModelSpec, timeout: float) -> list[str]:
    from hera_workflows.learning.datasets import fetch_sets
    from hera_workflows.learning.job import do
    from hera_workflows.learning.worker import Job
    from slipway.errors import SlipwayError

    file = folder.absolute() / "model.py"
    # models/NAME/model.py: shared code is imported from the folder that holds models/.
    root = file.parents[2] if file.parents[1].name == "models" else file.parent
    printed: list[bytes] = []
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway" / "datasets"
    try:
        job = Job(
            kind="check", root=root, file=file, spec=spec, result=file,
            sets=fetch_sets(spec.data, file.parent, cache),
        )  # fmt: skip
        do(job, timeout=timeout, max_output=CHECK_OUTPUT, forward=printed.append)
    except SlipwayError as error:
        if tail := b"".join(printed)[-3000:].decode(errors="replace").strip():
            click.secho(tail, dim=True, err=True)
        return str(error).splitlines()
    return []
