"""The command line of the test cluster: `python -m tests.cluster up`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, TypeVar

import click

from slipway.errors import SlipwayError, TryAgain

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main"]

T = TypeVar("T")
_START = time.monotonic()


def _say(text: str) -> None:
    click.echo(f"{time.monotonic() - _START:6.1f} s  {text}")


def _again(act: Callable[[], T]) -> T:
    """What it gives at its first, second or third try; each goes on from where the one before it stopped."""
    for _ in range(2):
        try:
            return act()
        except (TryAgain, OSError, subprocess.TimeoutExpired) as problem:
            _say(f"{problem}; once more, from where it is")
            time.sleep(5)
    return act()


@click.group()
def cluster() -> None:
    """A one-node Kubernetes with Argo, a forge, a registry and S3, for tests."""


@cluster.command()
def build() -> None:
    """Build the programs that the cache lacks."""
    from tests.cluster.build import build_all

    build_all(_say)


@cluster.command()
@click.option("--bare", is_flag=True, help="Without slipway: for installing it by hand, as docs/install.md says.")
@click.option("--no-autoscaling", is_flag=True, help="Without KEDA, whose build is a fifth of all.")
def up(bare: bool, no_autoscaling: bool) -> None:
    """Bring up what is not up, and print where everything is."""
    from tests.cluster.place import default_folder
    from tests.cluster.up import up as bring_up

    value = _again(lambda: bring_up(default_folder(), _say, bare=bare, autoscaling=not no_autoscaling))
    for name, at in value.items():
        click.echo(f"{name:22} {at if isinstance(at, str) else json.dumps(at)}")
    click.echo("all of it is inside the cluster's network: python -m tests.cluster run -- COMMAND")


@cluster.command()
def down() -> None:
    """Stop everything, delete the state and check that nothing is left but the cache and Debian packages."""
    from tests.cluster.down import remove
    from tests.cluster.place import default_folder

    _again(lambda: remove(default_folder(), _say))


@cluster.command()
def status() -> None:
    """List what of the cluster is on this machine."""
    from tests.cluster.down import leftovers
    from tests.cluster.place import default_folder

    for line in leftovers(default_folder()):
        click.echo(line)


@cluster.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...]) -> None:
    """Run COMMAND inside the cluster's network, with KUBECONFIG set and the cluster's programs on PATH."""
    from tests.cluster import network
    from tests.cluster.build import built
    from tests.cluster.place import default_folder
    from tests.cluster.products import PRODUCTS

    if not network.exists():
        raise click.ClickException("no cluster is up; run `make cluster`")
    programs = [str(built(product).folder / "bin") for product in PRODUCTS]
    path = ":".join([*programs, os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "KUBECONFIG": str(default_folder() / "kubeconfig/admin.json")}
    arguments = network.inside(command)
    os.execvpe(arguments[0], arguments, environment)


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
