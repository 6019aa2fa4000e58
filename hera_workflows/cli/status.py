"""The command `slipway status`, and how it looks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from hera_workflows.platform.status import Note, Row, compare, load_wish, notes_now, read_index

__all__ = ["render", "status"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print rows and notes as JSON.")
@click.pass_obj
def status(given: Path | None, as_json: bool) -> None:
    """Show what every environment serves, since when, on what evidence, and whether git agrees."""
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
    click.echo(render(rows, notes, wish.environments))


def render(rows: Sequence[Row], notes: Sequence[Note], environments: Sequence[str]) -> str:
    """Rows as a table, notes below it; colours are stripped by click where nobody sees them."""
    table = [("ENVIRONMENT", "MODEL", "VERSION", "SINCE", "VERDICT", "SERVED", "")]
    empty = [name for name in environments if name not in {row.environment for row in rows}]
    for name in environments:
        table += [_cells(row) for row in rows if row.environment == name]
        if name in empty:
            table.append((name, "-", "-", "-", "-", "-", ""))
    widths = [max(len(line[column]) for line in table) for column in range(7)]
    lines = []
    for count, line in enumerate(table):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        if count == 0:
            text = click.style(text, bold=True)
        elif line[6]:
            text = click.style(text, fg="yellow")
        lines.append(text)
    if notes:
        lines.append("")
        lines += [f"{note.environment}: {note.text}" if note.environment else note.text for note in notes]
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, str, str, str, str, str, str]:
    since = f"{datetime.fromisoformat(row.since).astimezone(UTC):%Y-%m-%d %H:%M}Z" if row.since else "-"
    served = "unknown" if row.served is None else ", ".join(map(str, row.served)) or "nothing"
    version = str(row.version) if row.version is not None else "-"
    remark = f"drift: {row.reason}" if row.agrees is False else ""
    return row.environment, row.model, version, since, row.verdict or "-", served, remark
