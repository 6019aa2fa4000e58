"""The command `slipway gc`: the store without what nothing refers to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hera_workflows.cli.options import JSON
from hera_workflows.settings import settings
from hera_workflows.steps.gc import GRACE, KEEP_RUNS, RETENTION, collect, duration
from hera_workflows.terminal import table

if TYPE_CHECKING:
    from triton_repo.retention import Decision

__all__ = ["gc"]


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--retention", default=RETENTION, show_default=True, help="How long a past release keeps its version.")
@click.option("--grace", default=GRACE, show_default=True, help="Versions younger than this are always kept.")
@click.option("--keep-runs", default=KEEP_RUNS, show_default=True, help="Workspace folders untouched longer go.")
@JSON
@click.pass_obj
def gc(home: Path | None, dry_run: bool, retention: str, grace: str, keep_runs: str, as_json: bool) -> None:
    """Remove versions that nothing refers to any more, and say why each of the others is kept.

    \b
    slipway gc --dry-run
    slipway gc --retention 30d
    """
    configured = settings(home)
    collected = collect(
        configured.need("store"),
        configured.need("env_repo"),
        configured.platform.workspace if configured.platform else None,
        retention=duration(retention, "--retention"),
        grace=duration(grace, "--grace"),
        keep_runs=duration(keep_runs, "--keep-runs"),
        dry_run=dry_run,
        now=datetime.now(UTC),
    )
    if as_json:
        click.echo(
            json.dumps(
                [
                    {"version": f"{d.model}@{d.number}", "keep": d.keep, "reason": d.reason, "done": not dry_run}
                    for d in collected.decisions
                ],
                indent=2,
            )
        )
    else:
        _show(collected.decisions, dry_run)
    collected.check()


def _show(decisions: Sequence[Decision], dry_run: bool) -> None:
    verb = {True: "keep", False: "would remove" if dry_run else "removed"}
    rows = [(verb[d.keep], f"{d.model}@{d.number}", d.reason) for d in decisions]
    click.echo(table(("DONE", "VERSION", "WHY"), rows))
