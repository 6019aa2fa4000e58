"""The command line of the test cluster: `python -m tests.cluster up`."""

from __future__ import annotations

import sys
import time

import click

from slipway.errors import SlipwayError

__all__ = ["main"]

_START = time.monotonic()


def _say(text: str) -> None:
    click.echo(f"{time.monotonic() - _START:6.1f} s  {text}")


@click.group()
def cluster() -> None:
    """A one-node Kubernetes with Argo, a forge, a registry and S3, for tests."""


@cluster.command()
def build() -> None:
    """Build the programs that the cache lacks."""
    from tests.cluster.build import build_all

    build_all(_say)


@cluster.command()
def up() -> None:
    """Bring up what is not up, and print where everything is."""
    from tests.cluster.place import default_folder
    from tests.cluster.up import up as bring_up

    bring_up(default_folder(), _say)


@cluster.command()
def down() -> None:
    """Stop everything, delete the state and check that nothing is left; the cache stays."""
    from tests.cluster.down import remove
    from tests.cluster.place import default_folder

    remove(default_folder(), _say)


@cluster.command()
def status() -> None:
    """List what of the cluster is on this machine."""
    from tests.cluster.down import leftovers
    from tests.cluster.place import default_folder

    for line in leftovers(default_folder()):
        click.echo(line)


def main() -> None:
    try:
        cluster(standalone_mode=False)
    except SlipwayError as problem:
        click.echo(f"cluster: {problem}", err=True)
        sys.exit(problem.exit_code)
    except click.ClickException as problem:
        problem.show()
        sys.exit(problem.exit_code)


if __name__ == "__main__":
    main()
