"""The command `slipway status`, and how it looks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from hera_workflows.platform.status import Note, Row, compare, load_wish, notes_now, read_index
from hera_workflows.terminal import Cell, printable, table

__all__ = ["render", "status"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print rows and notes as JSON.")
@click.pass_obj
def status(given: Path | None, as_json: bool) -> None:
    """Show what every environment serves, since when, on what evidence, and whether git agrees.

    \b
    slipway status
    slipway status --json | jq '.rows[] | select(.agrees == false)'
    """
    from hera_workflows.settings import settings

    found = settings(given)
    platform = found.platform
    env_repo = found.need("env_repo")
    ours = platform is not None and env_repo == str(platform.env_repo)
    wish = load_wish(env_repo, platform.home / "status.json" if platform is not None and ours else None)
    indexes = {}
    if platform is not None and ours:
        secret = platform.secret_file.read_text()
        indexes = {server.environment: read_index(server.http_port, secret) for server in platform.servers}
    rows, notes = compare(wish, indexes), notes_now(wish, datetime.now(UTC))
    if as_json:
        content = {"commit": wish.commit, "rows": [asdict(row) for row in rows], "notes": [asdict(n) for n in notes]}
        click.echo(json.dumps(content, indent=2))
        return
    silent = [name for name, index in indexes.items() if index is None]
    if not indexes:
        notes.append(Note("", "no platform here, so what is served is not known (`slipway up` starts one)"))
    elif len(silent) == len(indexes):
        notes.append(Note("", "the platform is down; start it with `slipway up`"))
    else:
        notes += [Note(name, "its Triton does not answer; `slipway up` starts it again") for name in silent]
    click.echo(render(rows, notes, wish.environments))


def render(rows: Sequence[Row], notes: Sequence[Note], environments: Sequence[str]) -> str:
    """Rows as a table, those with a remark in yellow; notes below it."""
    shown = []
    for name in environments:
        shown += [_cells(row) for row in rows if row.environment == name] or [[Cell(name), *[Cell("-")] * 5, Cell("")]]
    lines = [table(("ENVIRONMENT", "MODEL", "VERSION", "SINCE", "VERDICT", "SERVED", ""), shown)]
    if notes:
        lines.append("")
        lines += [printable(f"{note.environment}: {note.text}" if note.environment else note.text) for note in notes]
    return "\n".join(lines)


def _cells(row: Row) -> list[Cell]:
    since = f"{datetime.fromisoformat(row.since).astimezone(UTC):%Y-%m-%d %H:%M}Z" if row.since else "-"
    served = "unknown" if row.served is None else ", ".join(map(str, row.served)) or "nothing"
    version = str(row.version) if row.version is not None else "-"
    # Of a server that does not answer, one line below the table says so for all of its models.
    remark = f"drift: {row.reason}" if row.agrees is False else row.reason if row.served is not None else ""
    cells = (row.environment, row.model, version, since, row.verdict or "-", served, remark)
    return [Cell(text, "yellow" if remark else None) for text in cells]
