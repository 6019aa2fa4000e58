"""How the history of an environment repository looks, to people and to scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gitops.history import Event
from slipway.version import ModelVersion

__all__ = ["as_json", "as_table"]


def as_table(events: Sequence[Event]) -> str:
    """Events as a table, one line each; times in UTC."""
    table: list[tuple[str, ...]] = [("WHEN", "ENVIRONMENT", "MODEL", "VERSION", "WHAT", "WHO", "COMMIT", "")]
    table += [_cells(event) for event in events]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table
    )


def _cells(event: Event) -> tuple[str, ...]:
    operation = event.operation
    note = event.problem or ""
    if operation is None:
        note = note or event.subject
    elif operation.rollback_of is not None:
        note = f"undoes {operation.rollback_of[:8]}"
    elif operation.version is not None and not event.released:
        note = str(operation.version)
    return tuple(
        "".join(character if character.isprintable() else "?" for character in cell)
        for cell in (
            f"{event.when:%Y-%m-%d %H:%M}",
            event.environment or "-",
            event.model or "-",
            f"{_number(event.before)} → {_number(event.after)}" if event.released else "",
            operation.action if operation is not None else "by hand",
            (operation.approved_by if operation is not None else None) or event.who,
            event.commit[:8],
            note[:100],
        )
    )


def _number(version: ModelVersion | None) -> str:
    return str(version.number) if version is not None else "-"


def as_json(event: Event) -> dict[str, Any]:
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
