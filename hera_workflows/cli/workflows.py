"""Commands around workflows: render, run, logs."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slipway.errors import Misconfigured, Rejected

if TYPE_CHECKING:
    from hera_workflows.local.manifest import Manifest
    from hera_workflows.local.progress import Progress
    from hera_workflows.settings import Settings

__all__ = ["logs", "render", "run"]

_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option("--values", "values_file", type=_FILE, help="YAML with repositories, forge, store, images of a cluster.")
@click.option("--output", type=_FOLDER, default=Path("deploy"), show_default=True)
@click.option("--check", is_flag=True, help="Write nothing; fail when a file differs.")
def render(values_file: Path | None, output: Path, check: bool) -> None:
    """Write what `kubectl apply -k OUTPUT` installs, the same bytes for the same values.

    With --values every image needs a digest, so that what runs is what was looked at.

    \b
    slipway render --values values.yaml --output deploy
    slipway render --check
    """
    from hera_workflows.templates.render import FOLDERS
    from hera_workflows.templates.render import render as render_manifests
    from hera_workflows.templates.values import read_values

    values = read_values(values_file)
    if values_file is not None:
        values.images.need_digests()
    manifests = render_manifests(values)
    places = [output / "kustomization.yaml", *(path for name in FOLDERS for path in (output / name).glob("*.yaml"))]
    present = {str(path.relative_to(output)): path.read_text() for path in places if path.is_file()}
    differing = sorted(name for name in manifests.keys() | present.keys() if manifests.get(name) != present.get(name))
    if check:
        if differing:
            raise Rejected(f"{output}: {', '.join(differing)} differ; run `slipway render` and commit")
        return
    for name in differing:
        if name in manifests:
            (output / name).parent.mkdir(parents=True, exist_ok=True)
            (output / name).write_text(manifests[name])
        else:
            (output / name).unlink()
        click.echo(f"{output / name} {'written' if name in manifests else 'removed'}")


@click.command()
@click.argument("template")
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="KEY=VALUE", help="A workflow parameter.")
@click.option("--name", help="The run's name; the same name again goes on with the same run.")
@click.option("--follow", is_flag=True, help="Print what the steps print, too.")
@click.option("--volume", "volumes", multiple=True, metavar="CLAIM=FOLDER", help="The folder of a claim or Secret.")
@click.option("--values", "values_file", type=_FILE, help="The values that TEMPLATE was rendered with.")
@click.option("--root", type=_FOLDER, help="State and logs; else workflows/ in the platform's folder.")
@click.pass_obj
def run(
    given: Path | None,
    template: str,
    parameters: tuple[str, ...],
    name: str | None,
    follow: bool,
    volumes: tuple[str, ...],
    values_file: Path | None,
    root: Path | None,
) -> int:
    """Run TEMPLATE (a file, or slipway-push, slipway-promote, slipway-gc) on this machine.

    After a kill or a failure the same command goes on: steps that have finished are not run twice. With --name alone
    the parameters are those that the run began with.

    \b
    slipway run slipway-gc
    slipway run slipway-push -p before=COMMIT -p after=COMMIT --follow
    slipway run deploy/workflows/slipway-promote.yaml --name nightly
    """
    from hera_workflows.local.check import workflow_parameters
    from hera_workflows.local.progress import summary
    from hera_workflows.local.read import load
    from hera_workflows.local.runner import identify
    from hera_workflows.local.runner import run as run_workflow
    from hera_workflows.local.runs import name_for
    from hera_workflows.settings import settings
    from hera_workflows.templates.values import read_values

    found = settings(given)
    path = _template(template)
    manifest, content = load(path)
    root = root or (found.home or Path.cwd() / ".slipway") / "workflows"
    values = {**_known(manifest, found), **_before(root, name), **_pairs(parameters, "-p")}
    name = name or name_for(root, identify(manifest, content, workflow_parameters(manifest, values)))
    began = time.monotonic()
    with _progress(name, follow) as progress:
        result = run_workflow(
            path,
            values,
            name=name,
            root=root,
            volumes={**_folders(found), **{claim: Path(f) for claim, f in _pairs(volumes, "--volume").items()}},
            env=_secrets(manifest),
            on_event=progress.event,
            on_output=progress.output if follow else None,
            images=read_values(values_file).images.model_dump().values(),
        )
    click.echo(summary(result, time.monotonic() - began))
    if result.status == "Stopped":
        click.echo("slipway: stopped; run the same command again to go on", err=True)
    return result.exit_code


@click.command()
@click.argument("name", metavar="[RUN]", required=False)
@click.argument("step", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option("--root", type=_FOLDER, help="Where the runs lie; else workflows/ in the platform's folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the list of runs as JSON.")
@click.pass_obj
def logs(
    given: Path | None, name: str | None, step: str | None, follow: bool, root: Path | None, as_json: bool
) -> None:
    """List the last 20 runs; or show the logs of one RUN, or of one STEP of it.

    \b
    slipway logs
    slipway logs push-7f4bf14083-1 digits/train --follow
    slipway logs --json | jq -r '.[] | select(.status == "Failed") | .run'
    """
    from hera_workflows.local.log_view import follow_logs, list_runs, runs_as_json
    from hera_workflows.local.runs import find_run, find_runs
    from hera_workflows.settings import find_home

    root = root or (find_home(given) or Path.cwd() / ".slipway") / "workflows"
    if name is not None and as_json:
        raise click.UsageError("--json is for the list of runs; a log is text")
    if name is None:
        runs = find_runs(root)
        click.echo(runs_as_json(runs) if as_json else list_runs(runs))
        return
    for text in follow_logs(find_run(root, name), step, follow=follow):
        click.echo(text, nl=False)


def _before(root: Path, name: str | None) -> dict[str, str]:
    """The parameters that the run of that name began with; none for a new one."""
    from hera_workflows.local.journal import read_journal
    from hera_workflows.local.runner import is_name

    begun = read_journal(root / name / "journal.jsonl").identity if name and is_name(name) else None
    return dict(begun["parameters"]) if begun is not None else {}


def _template(text: str) -> Path:
    if (path := Path(text)).is_file() or "/" in text:
        return path
    from hera_workflows.packaged import packaged

    folder = packaged("deploy/workflows")
    if (path := folder / f"{text}.yaml").is_file():
        return path
    names = sorted(p.stem for p in folder.glob("*.yaml") if not p.stem.endswith("-schedule"))
    raise Misconfigured(f"{text} is neither a file nor one of {', '.join(names)}")


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise Misconfigured(f"{option} {text!r}: write it as KEY=VALUE")
        pairs[key] = value
    return pairs


def _known(manifest: Manifest, found: Settings) -> dict[str, str]:
    """The platform's values for the parameters that the template has."""
    known = {"source-repo": found.source_repo, "env-repo": found.env_repo, "prometheus": found.prometheus}
    known |= {"forge": "none", "live": "triton"}
    if found.platform:
        servers = (f"{s.environment}=127.0.0.1:{s.grpc_port}" for s in found.platform.servers)
        known["triton"] = ",".join(servers)
    wanted = {parameter.name for parameter in manifest.spec.arguments.parameters}
    return {key: value for key, value in known.items() if value is not None and key in wanted}


def _folders(found: Settings) -> dict[str, Path]:
    if found.platform is None:
        return {}
    return {
        "slipway-workspace": found.platform.workspace,
        "slipway-store": Path(found.store) if found.store and "://" not in found.store else found.platform.store,
        "slipway-signing": found.platform.signing_key.parent,
    }


def _secrets(manifest: Manifest) -> dict[str, str]:
    """The caller's variables of those names that some step takes from a Secret."""
    import os

    names = {
        variable.name
        for template in manifest.spec.templates
        for variable in (template.container.env if template.container else ())
        if variable.value_from is not None
    }
    return {name: os.environ[name] for name in names if name in os.environ}


def _progress(name: str, follow: bool) -> Progress:
    from hera_workflows.local.progress import Lines, Tree

    if sys.stdout.isatty() and not follow:
        return Tree(name)
    return Lines(lambda line: print(line, flush=True))
