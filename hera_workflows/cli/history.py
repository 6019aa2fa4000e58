"""The command `slipway history`, and how it looks to people and to scripts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hera_workflows.cli.options import JSON, env_repo
from hera_workflows.terminal import table
from slipway.version import ModelVersion

if TYPE_CHECKING:
    from gitops.history import Event

__all__ = ["as_table", "history"]


@click.command()
@click.argument("environment", required=False)
@click.argument("model", required=False)
@click.option("--limit", type=click.IntRange(min=0), default=50, show_default=True, help="At most so many; 0 for all.")
@JSON
@click.pass_obj
def history(home: Path | None, environment: str | None, model: str | None, limit: int, as_json: bool) -> None:
    """Show what was released where, when and by whom, newest first, from git alone.

    \b
    slipway history                      # everything
    slipway history production           # one environment
    slipway history production digits    # one model in it
    slipway history --limit 0 --json | jq '.[] | select(.action == "rollback")'
    """
    from gitops.environment_repo import read
    from gitops.history import history as read_history
    from slipway.names import check_environment, check_model

    if environment is not None:
        check_environment(environment)
    if model is not None:
        check_model(model)
    url = env_repo(home)
    events = list(read_history(url, environment, model, limit or None))
    if environment is not None and not events:
        read(url).environment(environment, url)  # one that is gone has a history, too
    if as_json:
        click.echo(json.dumps([_json(event) for event in events], indent=2))
    elif events:
        click.echo(as_table(events))
    else:
        what = f"no version of {model}" if model else "nothing"
        click.echo(f"{what} was released to {environment or 'any environment'} yet")


def as_table(events: Sequence[Event]) -> str:
    """Events as a table, one line each; times in UTC."""
    head = ("WHEN", "ENVIRONMENT", "MODEL", "VERSION", "WHAT", "WHO", "COMMIT", "")
    return table(head, [_cells(event) for event in events])


def _cells(event: Event) -> tuple[str, ...]:
    operation = event.operation
    note = event.problem or ""
    if operation is None:
        note = note or event.subject
    elif operation.rollback_of is not None:
        note = f"undoes {operation.rollback_of[:8]}"
    elif operation.version is not None and not event.released:
        note = str(operation.version)
    return (
        f"{event.when:%Y-%m-%d %H:%M}",
        event.environment or "-",
        event.model or "-",
        f"{_number(event.before)} → {_number(event.after)}" if event.released else "",
        operation.action if operation is not None else "by hand",
        (operation.approved_by if operation is not None else None) or event.who,
        event.commit[:8],
        note[:100],
    )


def _number(version: ModelVersion | None) -> str:
    return str(version.number) if version is not None else "-"


def _json(event: Event) -> dict[str, Any]:
    """One event for scripts."""
    operation = event.operation
    return {
        "commit": event.commit,
        "when": event.when.isoformat(),
        "who": event.who,
        "subject": event.subject,
        "environment": event.environment,
        "model": event.model,
        "from": str(event.before) if event.before else None,
        "to": str(event.after) if event.after else None,
        "action": operation.action if operation else None,
        "version": str(operation.version) if operation and operation.version else None,
        "operation_id": operation.id if operation else None,
        "source_commit": operation.source_commit if operation else None,
        "run": operation.run if operation else None,
        "source_env_commit": operation.source_env_commit if operation else None,
        "rollback_of": operation.rollback_of if operation else None,
        "verdict": operation.verdict if operation else None,
        "approved_by": operation.approved_by if operation else None,
        "problem": event.problem,
    }
