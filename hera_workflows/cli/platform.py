"""Commands of the one-machine platform: up, down, reconcile."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
from pathlib import Path

import click

__all__ = ["down", "reconcile", "up"]

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder with models/; else the nearest one here or above.",
)
@click.option(
    "--home",
    type=_FOLDER,
    help="Where repositories, keys, store and logs lie; else SLIPWAY_HOME, else .slipway/ in the project.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what runs as JSON.")
@click.pass_obj
def up(given: Path | None, project: Path | None, home: Path | None, as_json: bool) -> None:
    """Start the one-machine platform, or what of it does not run; safe to repeat.

    \b
    slipway up
    slipway up --project digits --home /srv/slipway
    slipway up --json | jq '.servers[] | {environment, http_port}'
    """
    from hera_workflows.platform import up as platform_up

    folder = project.absolute() if project else platform_up.find_project(Path.cwd())
    named = os.environ.get("SLIPWAY_HOME")
    home = home or given or (Path(named) if named else None)
    platform, reconciled = platform_up.up(folder, home, say=lambda line: click.echo(line, err=as_json))
    if as_json:
        environments = [dataclasses.asdict(one) for one in reconciled]
        click.echo(json.dumps({**dataclasses.asdict(platform), "environments": environments}, default=str, indent=2))
        return
    click.echo("\nNow, in your project:")
    click.echo(f"  git remote add slipway {shlex.quote(str(platform.source_repo))}")
    click.echo("  git push slipway main")


@click.command()
@click.option(
    "--home", type=_FOLDER, help="The platform's folder; else SLIPWAY_HOME, else the nearest .slipway/ here or above."
)
@click.option("--purge", is_flag=True, help="Remove its folder too: every version, log and decision in it.")
@click.option("--yes", is_flag=True, help="Do not ask before removing.")
@click.pass_obj
def down(given: Path | None, home: Path | None, purge: bool, yes: bool) -> None:
    """Stop everything of the platform, running workflows included; data stays.

    \b
    slipway down
    slipway down --purge --yes
    """
    from hera_workflows.platform import up as platform_up
    from hera_workflows.settings import find_home
    from slipway.errors import Misconfigured

    folder = find_home(home or given)
    if folder is None or not (folder / "up.lock").is_file():
        raise Misconfigured(f"no platform in {folder or '.slipway/ here or above'}; nothing to stop (or give --home)")
    if purge and not yes:
        click.confirm(f"Remove {folder} with every version, log and decision in it?", abort=True)
    count = platform_up.down(folder, purge=purge)
    click.echo(f"down: {count} processes stopped" + (f"; {folder} removed" if purge else f"; data stays in {folder}"))


@click.command()
@click.option("--environment", metavar="ENV", help="Only this environment.")
@click.option("--json", "as_json", is_flag=True, help="Print what is served as JSON.")
@click.pass_obj
def reconcile(given: Path | None, environment: str | None, as_json: bool) -> None:
    """Make the servers serve what the environment repository says.

    \b
    slipway reconcile
    slipway reconcile --environment staging --json
    """
    from hera_workflows.platform import reconcile as platform_reconcile
    from hera_workflows.settings import settings
    from slipway.errors import Rejected

    done = platform_reconcile.reconcile(settings(given).need_platform(), environment)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(one) for one in done], default=str, indent=2))
    for one in done:
        for result in one.results:
            if not as_json:
                click.echo(f"{one.environment}: {result.model} {result.state}" + f" {result.reason}".rstrip())
    if failed := [one.environment for one in done if one.failed]:
        raise Rejected(f"{', '.join(failed)}: not everything is served as the environment repository says; see above")
