"""The command line: which commands there are, and how an error becomes one line and an exit code.

Each command's module is imported only when that command runs, so `slipway status` never pays for torch.
"""

from __future__ import annotations

import importlib
import io
import keyword
import os
import signal
import sys
from pathlib import Path

import click

from hera_workflows.terminal import printable
from slipway.errors import SlipwayError, of_disk

__all__ = ["main"]

# Command -> (module under hera_workflows.cli, one line of help). The function has the command's name with _ for -.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("project", "Write a working example of a model."),
    "check": ("project", "Say everything that is wrong with the models here, before a push does."),
    "schema": ("project", "Print the JSON Schema of model.yaml, for editors."),
    "up": ("platform", "Start the one-machine platform: repositories, Triton, Prometheus."),
    "down": ("platform", "Stop it; nothing of it keeps running."),
    "status": ("status", "Show what every environment serves, since when, and whether git agrees."),
    "reconcile": ("platform", "Make the servers serve what the environment repository says."),
    "run": ("workflows", "Run a rendered workflow on this machine, or resume it."),
    "logs": ("workflows", "Show the logs of a workflow's steps."),
    "render": ("workflows", "Write what an installation applies, to deploy/."),
    "doctor": ("doctor", "Check an installed cluster, and say what is missing and how to mend it."),
    "try": ("try_", "Send your own picture, sentence or row to a served model."),
    "models": ("models", "List the versions in the model store."),
    "show": ("models", "Show one version: metrics, verdict, provenance, files."),
    "diff": ("models", "Compare two versions: metrics, params, data, code."),
    "verify": ("models", "Check a version's signature and every byte of it."),
    "gc": ("gc", "Remove versions that nothing refers to any more."),
    "promote": ("promotion", "Judge what is served and open, merge or undo what follows from it."),
    "approvals": ("approvals", "List the promotions that wait for a person."),
    "approve": ("approvals", "Merge a promotion: exactly the commit that was judged."),
    "reject": ("approvals", "Close a promotion without merging it."),
    "explain": ("explain", "Recompute a verdict from the evidence in its commit, offline."),
    "env": ("env", "Set up and check the environment repository."),
    "history": ("history", "Show what was released where, when and why, from git alone."),
    "rollback": ("environments", "Return an environment to its last good version, and hold the bad one."),
    "release-hold": ("environments", "Let a held version come back."),
    "freeze": ("environments", "Stop promotions into an environment for a while."),
    "unfreeze": ("environments", "Let promotions into an environment again."),
    "retire": ("environments", "Stop serving a model in an environment."),
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"hera_workflows.cli.{COMMANDS[cmd_name][0]}")
        name = cmd_name.replace("-", "_")
        command = getattr(module, f"{name}_" if keyword.iskeyword(name) else name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # From the table alone: `slipway --help` imports no command.
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="The platform's folder; else SLIPWAY_HOME, else the nearest .slipway/ here or above.",
)
@click.version_option(package_name="slipway")
@click.pass_context
def slipway(ctx: click.Context, home: Path | None) -> None:
    """Take a model from a git push to production; everything decided is a commit.

    Start with `slipway init NAME --task multiclass-classification`, then `slipway up` and `git push`.
    """
    ctx.obj = home


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 usage, 65 refused, 75 try again, 78 settings, 130 Ctrl-C.

    Where the reader has gone (`slipway history | head`) it is 141, as of any program that SIGPIPE ends.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal without our arrows and dashes shows ? for them.
            stream.reconfigure(errors="replace")
    try:
        code = _run(arguments)
    except (SystemExit, BrokenPipeError):
        # Only click ends by itself, when nobody reads. SIGPIPE stays ignored, for a socket would raise it, too.
        _forget_output()
        code = 128 + signal.SIGPIPE
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
    # Errors are one line on standard error, so that standard output stays fit for scripts.
    try:
        code = slipway.main(args=arguments, prog_name="slipway", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except SlipwayError as error:
        click.secho(printable(f"slipway: {error}", keep="\n"), fg="red", err=True)
        return error.exit_code
    except click.exceptions.Abort:
        click.echo("slipway: stopped; run the same command again to go on", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except OSError as error:
        if (told := of_disk(error)) is None:
            raise
        _forget_output()
        click.secho(f"slipway: {told}", fg="red", err=True)
        return told.exit_code


def _forget_output() -> None:
    """Let nobody write what is left in the buffer: Python would fail again at exit, with its own words and code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
