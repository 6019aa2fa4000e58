"""What pods run: each module is one step, `python -m hera_workflows.steps.NAME --flag value …`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

from slipway.errors import SlipwayError, of_disk

__all__ = ["run_step"]

_TERMINATION = Path("/dev/termination-log")  # a file in a pod, nothing elsewhere
_LONGEST = 2000  # characters; Kubernetes keeps 4096 bytes


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
        _end(error)
    except click.ClickException as error:
        error.show()
        sys.exit(78)
    except click.exceptions.Abort:
        sys.exit(130)
    except OSError as error:
        if (told := of_disk(error)) is None:
            raise
        _end(told)


def _end(error: SlipwayError) -> NoReturn:
    print(f"slipway: {error}", file=sys.stderr, flush=True)
    # What a pod leaves here, Kubernetes shows as why it ended, and Argo lists among a workflow's failures.
    words = [*sys.argv, ""]
    model = f" [{words[words.index('--model') + 1]}]" if "--model" in words else ""
    with suppress(OSError), _TERMINATION.open("r+") as file:
        file.write(f"slipway{model}: {error}"[:_LONGEST])
    sys.exit(error.exit_code)
