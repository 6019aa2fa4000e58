"""Put a published version into the first environment: a commit with what validation said of it."""

from __future__ import annotations

import click

from hera_workflows.steps import run_step
from slipway.names import check_commit, check_digest, check_model, check_number

__all__ = ["bump"]


@click.command()
@click.option("--model", required=True, help="The model's name.")
@click.option("--number", required=True, help="The version's number, as publish wrote it.")
@click.option("--digest", required=True, help="The version's digest, as publish wrote it.")
@click.option("--commit", required=True, help="The commit that was trained, in full.")
@click.option("--run", "run_name", required=True, help="The workflow's name.")
@click.option("--env-repo", required=True, help="The environment repository: a folder or a URL.")
@click.option("--store", "store_url", required=True, help="The model store: a folder or an fsspec URL.")
def bump(model: str, number: str, digest: str, commit: str, run_name: str, env_repo: str, store_url: str) -> None:
    """Release a published version to the first environment; a second time changes nothing.

    \b
    Example:
      python -m hera_workflows.steps.bump --model digits --number 3 --digest sha256:… \\
        --commit "$(git rev-parse HEAD)" --run push-1 --env-repo .slipway/env.git --store .slipway/store
    """
    from gitops.bump import bump as release
    from gitops.environment_repo import read
    from slipway.evidence import bump_evidence
    from slipway.operation import Operation
    from slipway.version import ModelVersion
    from triton_repo.store import find, open_store

    version = ModelVersion(check_model(model), check_number(number), check_digest(digest))
    manifest = find(open_store(store_url), version.name, version.number, version.digest)
    environment = read(env_repo).environments.first.name
    operation = Operation(
        id=f"bump/{run_name}/{version}",
        action="bump",
        environment=environment,
        version=version,
        source_commit=check_commit(commit),
        run=run_name,
        verdict=manifest.validation.outcome.value,
    )
    evidence = bump_evidence(version, manifest, environment, run=run_name)
    champion = manifest.validation.champion
    compared = int(champion.rpartition("@")[2]) if champion else 0
    done = release(env_repo, version, operation, evidence=evidence, compared=compared)
    click.echo(f"{environment}: released {version} ({done.commit[:12]})" if done.created else done.reason)


if __name__ == "__main__":
    run_step(bump)
