"""Commands by which a person steers one environment."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from hera_workflows.cli.options import BY, env_repo
from hera_workflows.identity import who
from hera_workflows.settings import settings
from slipway.errors import Misconfigured, SlipwayError

if TYPE_CHECKING:
    from gitops.edit import Done
    from slipway.version import ModelVersion

__all__ = ["freeze", "release_hold", "retire", "rollback", "unfreeze"]


@click.command()
@click.argument("environment")
@click.argument("model")
@click.option(
    "--reason", default="rolled back by hand", show_default=True, help="Why; it stays in git and in the hold."
)
@click.option("--to", "number", type=int, help="The version to return to; else the last good one.")
@BY
@click.pass_obj
def rollback(home: Path | None, environment: str, model: str, reason: str, number: int | None, by: str | None) -> None:
    """Return an environment to a model's last good version, and put the bad one on hold there.

    One commit, made even during a freeze. The hold stays until `slipway release-hold`.

    \b
    slipway rollback production digits --reason "wrong on handwritten sevens"
    slipway rollback production digits --to 3
    """
    from gitops.rollback import rollback as roll_back

    _check(reason)
    done = roll_back(
        env_repo(home),
        environment,
        model,
        now=datetime.now(UTC),
        reason=reason,
        operation_id=f"rollback/{uuid4().hex}",
        number=number,
        by=by or who(),
        stored=partial(_stored, settings(home).store),
    )
    _say(done, f"{environment}: rolled {model} back")


@click.command("release-hold")
@click.argument("environment")
@click.argument("version", metavar="MODEL@NUMBER")
@BY
@click.pass_obj
def release_hold(home: Path | None, environment: str, version: str, by: str | None) -> None:
    """Let a version that was rolled back, rejected or reverted come back to an environment.

    \b
    slipway release-hold production digits@5
    """
    from gitops.hold import release_hold as lift
    from slipway.names import check_number

    model, at, number = version.rpartition("@")
    if not at:
        raise click.UsageError(f"{version!r} names no version; write MODEL@NUMBER, such as digits@5")
    done = lift(env_repo(home), environment, model, check_number(number), by=by or who())
    _say(done, f"{environment}: {version} may come back")


@click.command()
@click.argument("environment")
@click.option("--reason", required=True, help="Why; promoters and people are told.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]), help="The end, in UTC.")
@click.option("--for", "duration", help="How long from now: 90m, 2h, 1d.")
@BY
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
    _check(reason)
    done = stop(env_repo(home), environment, Freeze(until=end, reason=reason), by=by or who())
    _say(done, f"{environment} is frozen {f'until {end.isoformat()}' if end else 'until somebody unfreezes it'}")


@click.command()
@click.argument("environment")
@BY
@click.pass_obj
def unfreeze(home: Path | None, environment: str, by: str | None) -> None:
    """Lift what `slipway freeze` set.

    \b
    slipway unfreeze production
    """
    from gitops.environment_repo import read
    from gitops.hold import unfreeze as lift

    url = env_repo(home)
    _say(lift(url, environment, by=by or who()), f"{environment} takes promotions again")
    if still := read(url).frozen(environment, datetime.now(UTC)):
        click.echo(f"but a window in envs/environments.yaml covers now ({still.reason}); edit it to open {environment}")


@click.command()
@click.argument("environment")
@click.argument("model")
@BY
@click.pass_obj
def retire(home: Path | None, environment: str, model: str, by: str | None) -> None:
    """Stop serving a model in one environment; its versions stay in the store and in history.

    \b
    slipway retire production digits
    """
    from gitops.retire import retire as remove

    done = remove(env_repo(home), environment, model, operation_id=f"retire/{uuid4().hex}", by=by or who())
    _say(done, f"{environment}: retired {model}")


def _stored(store: str | None, version: ModelVersion) -> bool:
    from triton_repo.store import open_store

    try:
        if store is None:
            raise Misconfigured("MODEL_STORE is unset")
        return open_store(store).holds(version)
    except SlipwayError as error:
        # No reason to go on serving what is bad.
        click.echo(f"nobody looked whether the store still has {version}: {error}", err=True)
        return True


def _check(reason: str) -> None:
    if not 0 < len(reason) <= 500 or not reason.isprintable():
        raise click.BadParameter("give one printable line of 1 to 500 characters", param_hint="--reason")


def _say(done: Done, what: str) -> None:
    click.echo(f"{what} ({done.commit[:12]})" if done.created else done.reason)
