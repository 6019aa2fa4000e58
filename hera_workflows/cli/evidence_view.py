"""How evidence, requests and passes look to people and to scripts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from hera_workflows.terminal import Cell, printable, table
from slipway.duration import format_duration
from slipway.evidence import ServedEvidence, ValidationEvidence
from slipway.judge import Judgement
from slipway.verdict import Check, Verdict

if TYPE_CHECKING:
    from gitops.approvals import Request
    from hera_workflows.promoter import Line, Pass

__all__ = ["describe", "line_json", "pass_table", "requests_table"]

_COLOURS = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.ERROR: "red"}


def _coloured(verdict: Verdict) -> Cell:
    return Cell(verdict.value, _COLOURS.get(verdict, "yellow"), bold=True)


def _checks_table(checks: Sequence[Check]) -> str:
    """One line a check."""
    rows = [(check.name, _coloured(check.verdict), check.threshold or "-", check.reason) for check in checks]
    return table(("CHECK", "VERDICT", "ALLOWED", "SEEN"), rows)


def describe(evidence: ServedEvidence | ValidationEvidence, recomputed: Judgement) -> str:
    """Everything that a decision was made on, and its verdict as it follows now."""
    validation = evidence.validation
    if isinstance(evidence, ValidationEvidence):
        title = f"{evidence.version} into {evidence.environment}, on its validation alone"
        facts = [
            ("source", evidence.source_commit),
            ("run", evidence.run),
        ]
        verdict = validation.outcome.value
    else:
        what = f"into {evidence.target}" if evidence.kind == "promotion" else f"taken out of {evidence.target}"
        title = f"{evidence.version} {what}, judged in {evidence.judged_in}"
        facts = [
            ("judged", f"{evidence.judged_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"),
            ("at", f"{evidence.source_env_commit} of the environment repository"),
            ("before", str(evidence.previous) if evidence.previous else "nothing was released there"),
        ]
        verdict = evidence.verdict.value
    champion = f", against {validation.champion}" if validation.champion else ", without a champion"
    facts += [("validation", f"{validation.outcome.value}{champion}"), ("report", validation.report)]
    lines = [click.style(f"{title}: {verdict}", bold=True)]
    lines += [printable(f"  {name:<11}{value}") for name, value in facts]
    return "\n".join([*lines, "", _checks_table(recomputed.checks)])


def requests_table(requests: Sequence[tuple[Request, str, ServedEvidence | None]], now: datetime) -> str:
    """Waiting requests, with what their environment serves now and what they were judged on."""
    head = ("ENVIRONMENT", "MODEL", "FROM → TO", "VERDICT", "VALIDATION", "WAITS", "SEEN")
    return table(head, [_request_cells(*each, now) for each in requests])


def _request_cells(
    request: Request, serves: str, evidence: ServedEvidence | None, now: datetime
) -> tuple[str | Cell, ...]:
    seen = evidence.reason if evidence else ""
    return (
        request.environment,
        request.version.name,
        f"{serves} → {request.version.number}",
        _coloured(evidence.verdict) if evidence else "?",
        evidence.validation.outcome.value if evidence else "?",
        format_duration(max(now - request.opened_at, now - now)),
        "not what was judged any more; `slipway promote` judges it again" if request.changed else seen,
    )


def pass_table(done: Pass) -> str:
    """One line for each model, environment and where it may go."""
    rows = [
        (line.environment, str(line.version), _coloured(line.verdict), _action(line), line.reason)
        for line in done.lines
    ]
    return table(("ENVIRONMENT", "MODEL", "VERDICT", "ACTION", "REASON"), rows)


def _action(line: Line) -> str:
    if line.action == "requested":
        return f"requested for {line.target}"
    return f"merged into {line.target}" if line.action == "merged" else line.action


def line_json(line: Line) -> dict[str, Any]:
    """One line for scripts."""
    return {
        "environment": line.environment,
        "model": line.version.name,
        "number": line.version.number,
        "digest": line.version.digest,
        "target": line.target,
        "verdict": line.verdict.value,
        "action": line.action,
        "reason": line.reason,
        "commit": line.commit,
    }
