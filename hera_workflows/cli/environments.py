"""Commands on the environment repository: set it up, read its history, and steer it by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from hera_workflows.identity import who

if TYPE_CHECKING:
    from gitops.edit import Done

__all__ = ["env", "freeze", "history", "release_hold", "retire", "rollback", "unfreeze"]

_BY = click.option("--by", help="Who decides; else user.name of your git settings, else your login.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


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
@click.pass_obj
def env_init(home: Path | None, url: str | None, folder: Path | None) -> None:
    """Commit environments and Kustomize base to an environment repository; what it has already stays as it is.

    \b
    slipway env init
    slipway env init git@example.com:ml/env.git --from envs/
    """
    from gitops.git import Git, check_url
    from gitops.seed import default_folder, seed

    where = check_url(url or _env_repo(home))
    if "://" not in where and not Path(where).exists() and (where.startswith((".", "/")) or ":" not in where):
        git = Git(Path(where))
        git.run("init", "--quiet", "--bare", "--initial-branch=main")
        git.run("config", "uploadpack.allowFilter", "true")
    done = seed(where, folder or default_folder())
    click.echo(f"{where}: set up ({done.commit[:12]})" if done.created else f"{where}: {done.reason}")


@env.command("check")
@_JSON
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

    url = _env_repo(home)
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


@click.command()
@click.argument("environment", required=False)
@click.argument("model", required=False)
@click.option("--limit", type=click.IntRange(min=0), default=50, show_default=True, help="At most so many; 0 for all.")
@_JSON
@click.pass_obj
def history(home: Path | None, environment: str | None, model: str | None, limit: int, as_json: bool) -> None:
    """Show what was released where, when and by whom, newest first, from git alone.

    \b
    slipway history                      # everything
    slipway history production           # one environment
    slipway history production digits    # one model in it
    slipway history --limit 0 --json | jq '.[] | select(.action == "rollback")'
    """
    from gitops.history import history as read_history
    from hera_workflows.cli.history_table import as_json as json_of
    from hera_workflows.cli.history_table import as_table
    from slipway.names import check_environment, check_model

    if environment is not None:
        check_environment(environment)
    if model is not None:
        check_model(model)
    events = list(read_history(_env_repo(home), environment, model, limit or None))
    if as_json:
        click.echo(json.dumps([json_of(event) for event in events], indent=2))
    elif events:
        click.echo(as_table(events))
    else:
        click.echo(f"nothing was released to {environment or 'any environment'} yet")


@click.command()
@click.argument("environment")
@click.argument("model")
@click.option(
    "--reason", default="rolled back by hand", show_default=True, help="Why; it stays in git and in the hold."
)
@click.option("--to", "number", type=int, help="The version to return to; else the last good one.")
@_BY
@click.pass_obj
def rollback(home: Path | None, environment: str, model: str, reason: str, number: int | None, by: str | None) -> None:
    """Return an environment to a model's last good version, and put the bad one on hold there.

    One commit, made even during a freeze. The hold stays until `slipway release-hold`.

    \b
    slipway rollback production digits --reason "wrong on handwritten sevens"
    slipway rollback production digits --to 3
    """
    from gitops.rollback import rollback as roll_back

    done = roll_back(
        _env_repo(home),
        environment,
        model,
        now=datetime.now(UTC),
        reason=reason,
        operation_id=f"rollback/{uuid4().hex}",
        number=number,
        by=by or who(),
    )
    _say(done, f"{environment}: rolled {model} back")


@click.command("release-hold")
@click.argument("environment")
@click.argument("version", metavar="MODEL@NUMBER")
@_BY
@click.pass_obj
def release_hold(home: Path | None, environment: str, version: str, by: str | None) -> None:
    """Let a version that was rolled back, rejected or reverted come back to an environment.

    \b
    slipway release-hold production digits@5
    """
    from gitops.hold import release_hold as lift
    from slipway.names import check_number

    model, _, number = version.rpartition("@")
    done = lift(_env_repo(home), environment, model, check_number(number), by=by or who())
    _say(done, f"{environment}: {version} may come back")


@click.command()
@click.argument("environment")
@click.option("--reason", required=True, help="Why; promoters and people are told.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]), help="The end, in UTC.")
@click.option("--for", "duration", help="How long from now: 90m, 2h, 1d.")
@_BY
@click.pass_obj
def freeze(
    home: Path | None, environment: str, reason: str, until: datetime | None, duration: str | None, by: str | None
) -> None:
    """Let nothing but rollbacks into an environment; without an end, until `slipway unfreeze`.

    \b
    slipway freeze production --reason "trade fair" --for 2d
    slipway freeze production --reason "audit" --until 2026-12-24T18:00
    """
    from gitops.hold import freeze as stop
    from slipway.duration import parse_duration
    from slipway.environments import Freeze

    if until is not None and duration is not None:
        raise click.UsageError("give --until or --for, not both")
    end = until.replace(tzinfo=UTC) if until is not None else None
    if duration is not None:
        try:
            end = datetime.now(UTC).replace(microsecond=0) + parse_duration(duration)
        except (ValueError, OverflowError) as error:
            raise click.BadParameter(str(error), param_hint="--for") from None
    if end is not None and end <= datetime.now(UTC):
        raise click.BadParameter(f"{end.isoformat()} is over already", param_hint="--until")
    if not 0 < len(reason) <= 500:
        raise click.BadParameter("give 1 to 500 characters", param_hint="--reason")
    done = stop(_env_repo(home), environment, Freeze(until=end, reason=reason), by=by or who())
    _say(done, f"{environment} is frozen {f'until {end.isoformat()}' if end else 'until somebody unfreezes it'}")


@click.command()
@click.argument("environment")
@_BY
@click.pass_obj
def unfreeze(home: Path | None, environment: str, by: str | None) -> None:
    """Lift what `slipway freeze` set.

    \b
    slipway unfreeze production
    """
    from gitops.environment_repo import read
    from gitops.hold import unfreeze as lift

    url = _env_repo(home)
    _say(lift(url, environment, by=by or who()), f"{environment} takes promotions again")
    if still := read(url).frozen(environment, datetime.now(UTC)):
        click.echo(f"but a window in envs/environments.yaml covers now ({still.reason}); edit it to open {environment}")


@click.command()
@click.argument("environment")
@click.argument("model")
@_BY
@click.pass_obj
def retire(home: Path | None, environment: str, model: str, by: str | None) -> None:
    """Stop serving a model in one environment; its versions stay in the store and in history.

    \b
    slipway retire production digits
    """
    from gitops.retire import retire as remove

    done = remove(_env_repo(home), environment, model, operation_id=f"retire/{uuid4().hex}", by=by or who())
    _say(done, f"{environment}: retired {model}")


def _env_repo(home: Path | None) -> str:
    from hera_workflows.settings import settings

    return settings(home).need("env_repo")


def _say(done: Done, what: str) -> None:
    click.echo(f"{what} ({done.commit[:12]})" if done.created else done.reason)
