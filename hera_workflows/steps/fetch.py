"""Put one released version into a Triton model repository, every byte verified: the init container of a server."""

from __future__ import annotations

from pathlib import Path

import click

from hera_workflows.steps import run_step
from slipway.names import check_number
from slipway.version import ModelVersion

__all__ = ["fetch", "fetch_release"]


@click.command()
@click.option("--model", required=True, help="The model's name, from release.env.")
@click.option("--number", required=True, help="The version's number, from release.env.")
@click.option("--digest", required=True, help="The version's digest, from release.env.")
@click.option("--store", "store_url", required=True, help="The model store: a folder or an fsspec URL.")
@click.option("--verify-key", type=click.Path(path_type=Path), help="The public key (PEM) of whoever publishes.")
@click.option("--destination", required=True, type=click.Path(file_okay=False, path_type=Path), help="The repository.")
def fetch(model: str, number: str, digest: str, store_url: str, verify_key: Path | None, destination: Path) -> None:
    """Copy a version to DESTINATION/MODEL as Triton reads it; whatever is not as published never arrives."""
    version = ModelVersion(model, check_number(number), digest)
    fetch_release(store_url, version, destination, verify_key)
    click.echo(f"fetched {version} ({version.digest})")


def fetch_release(store_url: str, version: ModelVersion, repository: Path, verify_key: Path | None) -> Path:
    """The model's directory in `repository`, holding config.pbtxt and the version's own directory; twice is once.

    Raises Rejected for a wrong digest, signature, size or hash, or when another version lies there.
    """
    from triton_repo.fetch import fetch
    from triton_repo.store import open_store

    target = repository / version.name
    inside = f"{version.number}/"
    fetch(
        open_store(store_url),
        version,
        target,
        verify_key=verify_key,
        only=lambda path: path == "config.pbtxt" or path.startswith(inside),
    )
    return target


if __name__ == "__main__":
    run_step(fetch)
