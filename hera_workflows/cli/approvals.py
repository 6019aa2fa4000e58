"""Commands by which people decide on promotions that wait, without a forge."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hera_workflows.cli.options import BY, JSON, env_repo
from slipway.errors import Rejected

if TYPE_CHECKING:
    from gitops.approvals import Request
    from slipway.evidence import ServedEvidence

__all__ = ["approvals", "approve", "reject"]


@click.command()
@JSON
@click.pass_obj
def approvals(home: Path | None, as_json: bool) -> None:
    """List the promotions that wait for a person: what they change, and the numbers they were judged on.

    \b
    slipway approvals
    slipway approvals --json | jq -r '.[] | .command'
    """
    from gitops.approvals import requests
    from gitops.environment_repo import read
    from hera_workflows.cli.evidence_view import requests_table

    url = env_repo(home)
    waiting = requests(url)
    snapshot, evidence = read(url), _evidence(url, waiting)
    rows = []
    for request in waiting:
        serves = snapshot.release(request.environment, request.version.name)
        rows.append((request, str(serves.number) if serves else "-", evidence.get(request.head)))
    if as_json:
        content = [
            {
                "environment": request.environment,
                "model": request.version.name,
                "from": serves,
                "to": request.version.number,
                "branch": request.branch,
                "head": request.head,
                "verdict": seen.verdict.value if seen else None,
                "validation": seen.validation.outcome.value if seen else None,
                "reason": seen.reason if seen else None,
                "opened_at": request.opened_at.isoformat(),
                "command": _command(request),
            }
            for request, serves, seen in rows
        ]
        click.echo(json.dumps(content, indent=2))
    elif not rows:
        click.echo("nothing waits for approval")
    else:
        click.echo(requests_table(rows, datetime.now(UTC)))
        click.echo("\n" + "\n".join(_command(request) for request in waiting))


def _command(request: Request) -> str:
    return f"slipway approve {request.environment} {request.version.name}"


def _evidence(url: str, waiting: list[Request]) -> dict[str, ServedEvidence]:
    """What each request's commit says it was judged on; left out where that cannot be read."""
    from gitops.evidence import evidence_at
    from slipway.evidence import ServedEvidence, parse_evidence

    found: dict[str, ServedEvidence] = {}
    places = [(request.head, request.environment, request.version.name) for request in waiting]
    for (commit, environment, model), content in evidence_at(url, places).items():
        try:
            parsed = parse_evidence(content, f"evidence of {model} for {environment}")
        except Rejected:
            continue
        if isinstance(parsed, ServedEvidence):
            found[commit] = parsed
    return found


@click.command()
@click.argument("environment")
@click.argument("model")
@click.option("--yes", is_flag=True, help="Do not ask.")
@BY
@click.pass_obj
def approve(home: Path | None, environment: str, model: str, yes: bool, by: str | None) -> None:
    """Show what a promotion was judged on, and merge exactly that commit.

    Holds, freezes and what the environment serves are checked again right before.

    \b
    slipway approve production digits
    slipway approve production digits --yes
    """
    from gitops.approvals import approve as merge
    from gitops.approvals import requests
    from gitops.environment_repo import read
    from hera_workflows.cli.evidence_view import describe
    from hera_workflows.identity import who
    from slipway.evidence import recompute

    url = env_repo(home)
    waiting = [r for r in requests(url) if (r.environment, r.version.name) == (environment, model)]
    head = ""  # of what was shown: nothing that is proposed from here on is merged unseen
    for request in waiting[-1:]:
        head, serves = request.head, read(url).release(environment, model)
        seen = _evidence(url, [request]).get(head)
        click.echo(describe(seen, recompute(seen)) if seen else f"{request.branch} carries no evidence")
        click.echo(f"\n{environment}: {serves or f'no {model}'} → {request.version} ({head[:12]})")
        if not yes and not sys.stdin.isatty():
            raise click.UsageError("nobody can be asked here; read the above and give --yes")
        if not yes:
            click.confirm("Merge it?", abort=True)
    done = merge(url, environment, model, by=by or who(), now=datetime.now(UTC), expected_head=head)
    click.echo(f"merged as {done.commit[:12]}" if done.created else f"{done.reason} ({done.commit[:12]})")


@click.command()
@click.argument("environment")
@click.argument("model")
@click.option("--reason", required=True, help="Why; it stays in git, and the promoter respects it.")
@BY
@click.pass_obj
def reject(home: Path | None, environment: str, model: str, reason: str, by: str | None) -> None:
    """Close a promotion without merging it, and keep its version out until `slipway release-hold`.

    \b
    slipway reject production digits --reason "not before the trade fair"
    """
    from gitops.approvals import reject as close
    from hera_workflows.identity import who

    if not 0 < len(reason.strip()) <= 500:
        raise click.BadParameter("give 1 to 500 characters", param_hint="--reason")
    close(env_repo(home), environment, model, by=by or who(), reason=reason)
    click.echo(f"rejected; `slipway release-hold {environment} {model}@NUMBER` lets the version be proposed again")
