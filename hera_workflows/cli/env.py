"""Commands that set up and check the environment repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hera_workflows.cli.options import JSON, env_repo

if TYPE_CHECKING:
    from gitops.installation import Installation
    from hera_workflows.templates.values import Values

__all__ = ["env"]


@click.group()
def env() -> None:
    """Set up and check the environment repository.

    \b
    slipway env init                 # the repository of ENV_REPO, or of the platform here
    slipway env init /srv/env.git    # a new bare repository, made when it is not there
    slipway env check
    """


@env.command("init")
@click.argument("url", required=False)
@click.option(
    "--from",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with environments.yaml and base/; else the one that comes with slipway.",
)
@click.option(
    "--values",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The values file of `slipway render`: sets up its env_repo, writes base/installation/ and base/autoscaling/.",
)
@click.pass_obj
def env_init(home: Path | None, url: str | None, folder: Path | None, values: Path | None) -> None:
    """Commit environments and Kustomize base to an environment repository; what it has already stays as it is.

    Only base/installation/ and base/autoscaling/ are slipway's own, and written anew from --values: run this again when
    images, the store or Prometheus change.

    \b
    slipway env init
    slipway env init git@example.com:ml/env.git --from envs/
    slipway env init --values values.yaml
    """
    from gitops.git import Git, check_url
    from gitops.seed import default_folder, seed
    from hera_workflows.templates.values import read_values

    said = read_values(values) if values else None
    if said:
        said.images.need_digests()
    where = check_url(url or (said.env_repo if said else env_repo(home)))
    if "://" not in where and not Path(where).exists() and (where.startswith((".", "/")) or ":" not in where):
        git = Git(Path(where))
        git.run("init", "--quiet", "--bare", "--initial-branch=main")
        git.run("config", "uploadpack.allowFilter", "true")
    done = seed(where, folder or default_folder(), _installation(said) if said else None)
    click.echo(f"{where}: set up ({done.commit[:12]})" if done.created else f"{where}: {done.reason}")


def _installation(values: Values) -> Installation:
    from gitops.installation import Installation

    return Installation(
        light=values.images.light,
        triton=values.images.triton,
        store=values.store,
        store_claim=values.store_claim,
        store_secret=values.secrets.store_read,
        verify_secret=values.secrets.verify,
        prometheus=values.prometheus,
    )


@env.command("check")
@JSON
@click.pass_obj
def env_check(home: Path | None, as_json: bool) -> None:
    """Read everything in the environment repository, and say what was edited into nonsense.

    Exit status 65 when anything was.

    \b
    slipway env check
    slipway env check --json | jq .broken
    """
    from gitops.environment_repo import read
    from slipway.errors import Rejected

    url = env_repo(home)
    snapshot = read(url)
    names = [environment.name for environment in snapshot.environments.environments]
    broken = dict(snapshot.broken)
    for environment, model in snapshot.releases:
        if environment not in names:
            broken[f"envs/{environment}/{model}/release.env"] = (
                f"envs/environments.yaml has no {environment}; add it, or remove the folder"
            )
    if as_json:
        content = {
            "commit": snapshot.commit,
            "environments": names,
            "releases": len(snapshot.releases),
            "holds": len(snapshot.holds),
            "broken": broken,
        }
        click.echo(json.dumps(content, indent=2))
    else:
        click.echo(f"{url} at {snapshot.commit[:12]}: {' → '.join(names)}")
        click.echo(f"{len(snapshot.releases)} releases, {len(snapshot.holds)} holds")
    if broken:
        lines = [reason if path in reason else f"{path}: {reason}" for path, reason in sorted(broken.items())]
        raise Rejected("\n".join(lines))
