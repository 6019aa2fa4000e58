"""Commands that judge what is served, ask people, and explain what was decided."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slipway.errors import Rejected, TryAgain

if TYPE_CHECKING:
    from gitops.approvals import Request
    from hera_workflows.promoter import Promoter
    from slipway.evidence import ServedEvidence

__all__ = ["approvals", "approve", "explain", "promote", "reject"]

_BY = click.option("--by", help="Who decides; else user.name of your git settings, else your login.")


@click.command()
@click.option("--wait", metavar="DURATION", help="Look again until nothing waits, at most so long: 90s, 10m.")
@click.option("--model", help="Only this model.")
@click.option("--triton", help="ENVIRONMENT=HOST:PORT,…: each Triton's gRPC; else those of the platform here.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def promote(home: Path | None, wait: str | None, model: str | None, triton: str | None, as_json: bool) -> None:
    """Judge every release, then ask for, merge or undo what follows from it; running it again does no harm.

    Exit status 75 when --wait ends before everything is settled, or Prometheus does not answer.

    \b
    slipway promote
    slipway promote --wait 5m
    slipway promote --model digits --json | jq '.lines[] | select(.verdict == "FAIL")'
    """
    from hera_workflows.cli.evidence_view import line_json, pass_table
    from hera_workflows.cli.waiting import passes
    from hera_workflows.steps.promote import raise_failed
    from slipway.duration import parse_duration

    try:
        seconds = parse_duration(wait).total_seconds() if wait else 0.0
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--wait") from None
    with _promoter(home, triton, model) as promoter:
        done, waits = passes(promoter, seconds, quiet=as_json)
    if as_json:
        content = {
            "commit": done.commit,
            "lines": [line_json(line) for line in done.lines],
            "closed": [request.branch for request in done.closed],
            "broken": dict(done.broken),
        }
        click.echo(json.dumps(content, indent=2))
    else:
        click.echo(pass_table(done) if done.lines else "nothing is released yet; push a model first")
    raise_failed(done)
    if wait and waits:
        raise TryAgain(f"after {wait} this still waits: {'; '.join(waits)}; run `slipway promote --wait {wait}` again")


@contextmanager
def _promoter(home: Path | None, triton: str | None, model: str | None) -> Iterator[Promoter]:
    from gitops.metrics import PrometheusMetrics
    from hera_workflows.promoter import Promoter
    from hera_workflows.settings import settings
    from hera_workflows.steps.promote import parse_servers
    from triton_repo.store import open_store

    found = settings(home)
    servers = dict(parse_servers(triton or ""))
    if triton is None and found.platform is not None:
        servers = {server.environment: f"127.0.0.1:{server.grpc_port}" for server in found.platform.servers}
    url, store = found.need("env_repo"), open_store(found.need("store"))
    with PrometheusMetrics(found.need("prometheus")) as metrics:
        yield Promoter(url, store, metrics, servers, "by-hand", model)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
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

    url = _env_repo(home)
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
@_BY
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

    url = _env_repo(home)
    waiting = [r for r in requests(url) if (r.environment, r.version.name) == (environment, model)]
    head = None
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
@_BY
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
    close(_env_repo(home), environment, model, by=by or who(), reason=reason)
    click.echo(f"rejected; `slipway release-hold {environment} {model}@NUMBER` lets the version be proposed again")


@click.command()
@click.argument("commit")
@click.option("--json", "as_json", is_flag=True, help="Print the evidence and the recomputed verdict as JSON.")
@click.pass_obj
def explain(home: Path | None, commit: str, as_json: bool) -> None:
    """Say why a commit of the environment repository did what it did, and recompute its verdict from its evidence.

    Reads git and nothing else. Exit status 65 when the evidence gives another verdict than the commit says.
    COMMIT: an id, shortened or not, or a branch such as promote/production/digits-3.

    \b
    slipway explain 4f2a91c
    slipway explain promote/production/digits-3
    """
    from gitops.evidence import evidence_of
    from hera_workflows.cli.evidence_view import describe
    from slipway.evidence import agrees, parse_evidence, recompute

    full, contents = evidence_of(_env_repo(home), commit)
    found = [parse_evidence(content, f"{full[:12]}:{path}") for path, content in sorted(contents.items())]
    judged = [recompute(evidence) for evidence in found]
    same = [agrees(evidence) for evidence in found]
    if as_json:
        content = [
            {"evidence": evidence.model_dump(mode="json"), "recomputed": judgement.verdict.value, "agrees": agreed}
            for evidence, judgement, agreed in zip(found, judged, same, strict=True)
        ]
        click.echo(json.dumps({"commit": full, "releases": content}, indent=2))
    else:
        for evidence, judgement, agreed in zip(found, judged, same, strict=True):
            end = "the same as when it was decided" if agreed else "NOT what the commit says"
            click.echo(f"{describe(evidence, judgement)}\n\nrecomputed from the evidence: {end}")
    if not all(same):
        raise Rejected(
            f"{full[:12]}: its evidence was edited, or was judged by other rules than this version of slipway"
        )


def _env_repo(home: Path | None) -> str:
    from hera_workflows.settings import settings

    return settings(home).need("env_repo")
