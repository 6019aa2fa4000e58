"""Judge every release, and promote or roll back what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hera_workflows.forges import ForgeFlags, forge_options
from hera_workflows.steps import run_step
from slipway.errors import Misconfigured, Rejected, SlipwayError, TryAgain
from slipway.names import check_environment

if TYPE_CHECKING:
    from hera_workflows.promoter import Pass
    from hera_workflows.promoter.servers import Addresses, Servers

__all__ = ["parse_servers", "promote", "raise_failed", "texts"]


@click.command()
@click.option("--env-repo", required=True, help="The environment repository.")
@click.option("--store", "store_url", required=True, help="The model store: a folder or an fsspec URL.")
@click.option("--prometheus", required=True, help="Prometheus's URL.")
@click.option("--live", type=click.Choice(["triton", "kubernetes"]), default="triton", show_default=True)
@click.option("--argocd-namespace", default="argocd", show_default=True, help="Its Applications, by --live kubernetes.")
@click.option("--triton", default="", help="ENVIRONMENT=HOST:PORT,…: each Triton's gRPC, where --live is triton.")
@click.option("--run", "run_name", required=True, help="The workflow's name.")
@click.option("--model", help="Only this model.")
@forge_options
def promote(
    env_repo: str,
    store_url: str,
    prometheus: str,
    live: str,
    argocd_namespace: str,
    triton: str,
    run_name: str,
    model: str | None,
    forge: ForgeFlags,
) -> None:
    """One pass over every release; a line for each says what was seen and done.

    Whether a release is live is asked of Triton itself, or of Argo CD and the Deployments.

    \b
    python -m hera_workflows.steps.promote --env-repo .slipway/env.git --store .slipway/store \\
        --prometheus http://127.0.0.1:9090 --triton staging=127.0.0.1:8001 --run promote-1
    """
    from gitops.metrics import PrometheusMetrics
    from hera_workflows.promoter import Promoter
    from hera_workflows.promoter import promote as run_pass
    from hera_workflows.promoter.scene import Forges
    from triton_repo.store import open_store

    servers: Servers = parse_servers(triton)
    if live == "kubernetes":
        from hera_workflows.promoter.kubernetes import Cluster

        servers = Cluster(argocd_namespace)
    store = open_store(store_url)
    environments, source = forge.environments(), forge.source()
    forges = Forges(environments, source, forge.page, forge.commit, forge.report) if environments and source else None
    with PrometheusMetrics(prometheus) as metrics:
        done = run_pass(Promoter(env_repo, store, metrics, servers, run_name, model, forges))
    for line in texts(done):
        click.echo(line)
    raise_failed(done)


def parse_servers(given: str) -> Addresses:
    """`staging=127.0.0.1:8001,production=…`; raises Misconfigured for anything else."""
    from hera_workflows.promoter.servers import Addresses

    servers: dict[str, str] = {}
    for part in filter(None, given.split(",")):
        environment, separator, address = part.partition("=")
        host, colon, port = address.rpartition(":")
        try:
            check_environment(environment)
        except Rejected as error:
            raise Misconfigured(f"--triton {part[:80]!r}: {error}") from None
        if not (separator and colon and host and port.isdecimal()) or environment in servers:
            raise Misconfigured(f"--triton {part[:80]!r} is not ENVIRONMENT=HOST:PORT, each environment once")
        servers[environment] = address
    return Addresses(servers)


def texts(done: Pass) -> list[str]:
    """A pass as people read it in a log."""
    lines = [*done.settled, *(f"closed the request of {r.version} for {r.environment}" for r in done.closed)]
    for line in done.lines:
        target = f" for {line.target}" if line.action == "requested" else f" into {line.target}"
        what = line.action + (target if line.action in ("requested", "merged") else "")
        lines.append(f"{line.environment} {line.version}: {line.verdict}, {what}: {line.reason}")
    return lines + [reason if path in reason else f"{path}: {reason}" for path, reason in sorted(done.broken.items())]


def raise_failed(done: Pass) -> None:
    """Raise the family of what went wrong, if anything did: TryAgain before the others, since trying may mend it."""
    errors: list[SlipwayError] = [*done.trouble, *(line.error for line in done.lines if line.error is not None)]
    errors += [Rejected(reason if path in reason else f"{path}: {reason}") for path, reason in done.broken.items()]
    for family in (TryAgain, Misconfigured, Rejected):
        for error in errors:
            if isinstance(error, family):
                raise family(f"{len(errors)} could not be judged or acted on; the first: {error}")


if __name__ == "__main__":
    run_step(promote)
