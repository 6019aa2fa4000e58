"""The command `slipway promote`: judge what is served, and do what follows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hera_workflows.cli.options import JSON
from slipway.errors import Rejected, TryAgain

if TYPE_CHECKING:
    from hera_workflows.promoter import Promoter

__all__ = ["promote"]


@click.command()
@click.option("--wait", metavar="DURATION", help="Look again until nothing waits, at most so long: 90s, 10m.")
@click.option("--model", help="Only this model.")
@click.option("--triton", help="ENVIRONMENT=HOST:PORT,…: each Triton's gRPC; else those of the platform here.")
@JSON
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
    elif done.lines:
        click.echo(pass_table(done))
    elif model is None and not done.broken:
        click.echo("nothing is released yet; push a model first")
    raise_failed(done)
    if model is not None and not done.lines:
        raise Rejected(f"{model} is not released in any environment; `slipway status` shows what is")
    if wait and waits:
        raise TryAgain(f"after {wait} this still waits: {'; '.join(waits)}; run `slipway promote --wait {wait}` again")


@contextmanager
def _promoter(home: Path | None, triton: str | None, model: str | None) -> Iterator[Promoter]:
    from gitops.metrics import PrometheusMetrics
    from hera_workflows.promoter import Promoter
    from hera_workflows.promoter.servers import Addresses
    from hera_workflows.settings import settings
    from hera_workflows.steps.promote import parse_servers
    from triton_repo.store import open_store

    found = settings(home)
    servers = parse_servers(triton or "")
    if triton is None and found.platform is not None:
        servers = Addresses({server.environment: f"127.0.0.1:{server.grpc_port}" for server in found.platform.servers})
    url, store = found.need("env_repo"), open_store(found.need("store"))
    with PrometheusMetrics(found.need("prometheus")) as metrics:
        yield Promoter(url, store, metrics, servers, "by-hand", model)
