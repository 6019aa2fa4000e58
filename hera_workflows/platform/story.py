"""How is a story told? One line a step, on a platform of its own, and nothing keeps running afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from hera_workflows.platform.home import clean_environment
from hera_workflows.platform.up import down
from hera_workflows.settings import HOME_NAME, Platform, read_platform
from slipway.errors import Misconfigured, Rejected, SlipwayError

__all__ = ["Story", "perform", "prepare", "run_story", "stop"]

MARKER = ".slipway-demo"
_AUTHOR = ("-c", "user.name=Ada", "-c", "user.email=ada@localhost")


class Story:
    """One line a step, with its duration; everything that commands print goes into a log."""

    def __init__(self, folder: Path, as_json: bool) -> None:
        self.project, self.log, self.as_json = folder / "project", folder / "demo.log", as_json
        self.home = self.project / HOME_NAME
        self.began = time.monotonic()

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[list[str]]:
        """Announce a step; what the block appends to the list is shown beside its duration."""
        began, found = time.monotonic(), list[str]()
        live = sys.stdout.isatty() and not self.as_json
        if live:
            click.echo(f"         {title} …", nl=False)
        yield found
        seconds = time.monotonic() - began
        if self.as_json:
            click.echo(json.dumps({"step": title, "seconds": round(seconds, 1), "found": found}))
            return
        click.echo(("\r\x1b[K" if live else "") + click.style(f"{seconds:6.1f} s ", fg="cyan") + title)
        for line in found:
            click.echo(textwrap.fill(line, 110, initial_indent=" " * 10, subsequent_indent=" " * 12))

    def run(self, *command: str, fails: int | None = None) -> str:
        """The output of a command in the project; raises Rejected, with its last lines, when it goes wrong."""
        done = subprocess.run(
            command,
            cwd=self.project,
            env={**clean_environment(), "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        with self.log.open("a") as log:
            log.write(f"$ {' '.join(command)}\n{done.stdout}\n")
        if done.returncode != (fails or 0):
            last = "\n".join(done.stdout.strip().splitlines()[-12:])
            raise Rejected(f"{' '.join(command)} ended with {done.returncode}; see {self.log}\n{last}")
        return done.stdout

    def slipway(self, *arguments: str, fails: int | None = None) -> str:
        """The output of a slipway command."""
        return self.run(sys.executable, "-m", "hera_workflows", *arguments, fails=fails)

    def push(self, message: str) -> str:
        """Commit everything and push; what the pusher reads."""
        self.run("git", "add", "-A")
        self.run("git", *_AUTHOR, "commit", "-qm", message)
        return self.run("git", "push", "slipway", "main")

    @property
    def platform(self) -> Platform:
        """The platform that `slipway up` started."""
        platform = read_platform(self.home)
        assert platform is not None
        return platform

    def serves(self, environment: str, model: str, number: int | None) -> str:
        """What an environment serves, as a line; raises Rejected unless it is that version, by git and by Triton."""
        rows = json.loads(self.slipway("status", "--json"))["rows"]
        found = [row for row in rows if (row["environment"], row["model"]) == (environment, model)]
        seen = (found[0]["version"], found[0]["served"]) if found else (None, [])
        if seen != (number, [number] if number else []):
            raise Rejected(
                f"{environment} should serve {model}@{number}, but git and Triton say {seen}; see {self.log}"
            )
        return f"{environment} serves {model}@{number} ({found[0]['verdict']})" if found else f"{environment}: nothing"


def prepare(folder: Path) -> None:
    """An empty folder for the demo; an earlier demo's is stopped and removed, anything else is left alone."""
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / MARKER).is_file():
            raise Misconfigured(f"DEMO_HOME {folder} is not empty and not a demo's; choose another folder")
        stop(folder)
        shutil.rmtree(folder)
    (folder / "project").mkdir(parents=True)
    (folder / MARKER).touch()
    # It lies inside somebody's checkout by default.
    (folder / ".gitignore").write_text("*\n")


def stop(folder: Path) -> None:
    """Stop everything that an earlier or this demo started."""
    home = folder / "project" / HOME_NAME
    if home.is_dir():
        down(home)


def perform(tell: Callable[[Story], None], ending: Callable[[Story], str], as_json: bool) -> None:
    """Tell a story in DEMO_HOME (./.demo), then stop everything unless KEEP=1."""
    folder = Path(os.environ.get("DEMO_HOME") or ".demo").absolute()
    prepare(folder)
    story = Story(folder, as_json)
    keep = os.environ.get("KEEP", "") not in ("", "0")
    try:
        tell(story)
        if not as_json:
            click.echo(ending(story))
            click.echo(f"the whole story took {time.monotonic() - story.began:.0f} s")
            if keep:
                click.echo(f"everything still runs; stop it with `slipway --home {story.home} down`")
    except BaseException:
        keep = False
        raise
    finally:
        if not keep:
            stop(folder)


def run_story(command: click.Command) -> None:
    """Run a story's command; however it ends, nothing of it keeps running and the last line says why."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        command.main(standalone_mode=False)
    except SlipwayError as error:
        click.secho(f"\nslipway: {error}", fg="red", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nslipway: stopped; everything of the demo is down", err=True)
        sys.exit(130)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
