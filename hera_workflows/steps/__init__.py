"""What pods run: each module is one step, `python -m hera_workflows.steps.NAME --flag value …`."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from slipway.errors import SlipwayError, of_disk

__all__ = ["run_step"]


def run_step(command: click.Command | Callable[[], None]) -> None:
    """Run a step's click command and exit with the code that the workflow's retry strategy reads.

    The last line on standard error says what, where, and what to do.
    """
    try:
        if isinstance(command, click.Command):
            command.main(standalone_mode=False)
        else:
            command()
    except SlipwayError as error:
        print(f"slipway: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(78)
    except click.exceptions.Abort:
        sys.exit(130)
    except OSError as error:
        if (told := of_disk(error)) is None:
            raise
        print(f"slipway: {told}", file=sys.stderr, flush=True)
        sys.exit(told.exit_code)
