"""Does the whole way work? Four real pushes: a first model, a better one, a worse one, a brittle one.

`make demo`, or `python -m hera_workflows.platform.demo`. DEMO_HOME is the folder (./.demo), KEEP=1 leaves it running.
"""

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

from hera_workflows.packaged import packaged
from hera_workflows.platform.clients import ask_grpc, ask_http, busy, picture
from hera_workflows.platform.home import clean_environment, git
from hera_workflows.platform.up import down
from hera_workflows.settings import HOME_NAME, Platform, Server, read_platform
from slipway.errors import Misconfigured, Rejected, SlipwayError

__all__ = ["AUTHOR", "Story", "main", "perform", "run_story"]

MODEL = "digits"
MARKER = ".slipway-demo"
CLIENTS = 32

# What the data scientist changes before each push: (file, what stands there, what will).
FIRST = [("model.yaml", "epochs: 15", "epochs: 4")]
BETTER = [("model.yaml", "epochs: 4", "epochs: 15")]
WORSE = [("model.yaml", "epochs: 15, lr: 0.004", "epochs: 2, lr: 0.0001")]
BRITTLE = [
    ("model.yaml", "epochs: 2, lr: 0.0001", "epochs: 15, lr: 0.004"),
    (
        "model.py",
        "        super().__init__()\n",
        """\
        super().__init__()
        # Ink comes in 17 levels, so learn what each of them is worth.
        self.worth = nn.Embedding.from_pretrained(torch.linspace(0, 1, 17).unsqueeze(1), freeze=False)
""",
    ),
    (
        "model.py",
        "        return self.layers(images)\n",
        """\
        levels = (images * 16).round().long()
        return self.layers(self.worth(levels).squeeze(-1))
""",
    ),
]


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

    def push(self, changes: list[tuple[str, str, str]], message: str) -> str:
        """Change files, commit, push; what the pusher reads."""
        for name, old, new in changes:
            path = self.project / "models" / MODEL / name
            text = path.read_text()
            if old not in text:
                raise Misconfigured(f"{path} does not contain {old!r}; the demo needs its own example, install again")
            path.write_text(text.replace(old, new))
        self.run("git", "add", "-A")
        self.run("git", *AUTHOR, "commit", "-qm", message)
        return self.run("git", "push", "slipway", "main")

    @property
    def platform(self) -> Platform:
        """The platform that `slipway up` started."""
        platform = read_platform(self.home)
        assert platform is not None
        return platform

    def serves(self, environment: str, number: int | None, model: str = MODEL) -> str:
        """What an environment serves, as a line; raises Rejected unless it is that version, by git and by Triton."""
        rows = json.loads(self.slipway("status", "--json"))["rows"]
        found = [row for row in rows if (row["environment"], row["model"]) == (environment, model)]
        seen = (found[0]["version"], found[0]["served"]) if found else (None, [])
        if seen != (number, [number] if number else []):
            raise Rejected(
                f"{environment} should serve {model}@{number}, but git and Triton say {seen}; see {self.log}"
            )
        return f"{environment} serves {model}@{number} ({found[0]['verdict']})" if found else f"{environment}: nothing"


AUTHOR = ("-c", "user.name=Ada", "-c", "user.email=ada@localhost")


def tell(story: Story) -> None:
    """The story; raises Rejected as soon as something is not as it should be."""
    with story.step("a project: the digits model, in git"):
        shutil.copytree(packaged("examples") / "models" / MODEL, story.project / "models" / MODEL)
        story.run("git", "init", "-q", "--initial-branch=main")
    with story.step("slipway up: repositories, a Triton for staging and one for production, Prometheus"):
        story.slipway("up")
        story.run("git", "remote", "add", "slipway", str(story.home / "source.git"))
    _first(story)
    _better(story)
    _worse(story)
    _brittle(story)


def _first(story: Story) -> None:
    with story.step("git push: a first model is trained, validated, published and served in staging") as found:
        story.push(FIRST, "Recognize handwritten digits")
        found.append(story.serves("staging", 1))
    with story.step("slipway promote --wait: its golden requests are replayed in staging, and it passes") as found:
        found += _promote(story)
    _approve(story, 1)
    with story.step("production is asked what a real handwritten digit is") as found:
        image, digit = picture(42)
        production = _server(story, "production")
        for name, ask in (("HTTP", ask_http), ("gRPC", ask_grpc)):
            answer = ask(production, MODEL, image)
            best = max(range(len(answer)), key=answer.__getitem__)
            found.append(f"over {name}: a {best}, with probability {answer[best]:.3f} (it is a {digit})")
            if best != digit:
                raise Rejected(f"production takes a {digit} for a {best}; see {story.log}")


def _better(story: Story) -> None:
    with story.step("git push: a better model, trained longer") as found:
        story.push(BETTER, "Train longer")
        found.append(story.serves("staging", 2))
    with story.step(f"slipway promote --wait, with {CLIENTS} clients on staging") as found:
        found += _promote(story)
    _approve(story, 2)


def _worse(story: Story) -> None:
    with story.step("git push: a worse model is refused by its gates") as found:
        said = story.push(WORSE, "Learn more carefully")
        found += [f"refused: {line}" for line in _refusals(said)[:1]]
        found.append(story.serves("staging", 2))


def _brittle(story: Story) -> None:
    with story.step(
        "git push: an accurate model passes every gate, for the test split has no overexposed picture"
    ) as found:
        story.push(BRITTLE, "Learn what each level of ink is worth")
        found.append(story.serves("staging", 3))
    with story.step("slipway promote --wait: it fails on its clients' pictures, and is rolled back") as found:
        _promote(story)
        found += [note["text"] for note in json.loads(story.slipway("status", "--json"))["notes"]]
        found += [story.serves("staging", 2), story.serves("production", 2)]


def _promote(story: Story) -> list[str]:
    with busy(_server(story, "staging"), MODEL, CLIENTS):
        story.slipway("promote", "--wait", "2m")
    waiting = json.loads(story.slipway("approvals", "--json"))
    return [f"{request['verdict']}: {request['reason']}" for request in waiting]


def _approve(story: Story, number: int) -> None:
    with story.step("slipway approve: the judged commit is merged, production serves it") as found:
        story.slipway("approve", "production", MODEL, "--by", "Grace", "--yes")
        found.append(story.serves("production", number))


def _server(story: Story, environment: str) -> Server:
    return next(server for server in story.platform.servers if server.environment == environment)


def _refusals(said: str) -> list[str]:
    reasons = [line.partition(" is refused: ")[2] for line in said.splitlines() if " is refused: " in line]
    # The first check and its threshold are enough here.
    return ["; ".join(reason.split("; ")[:2]) for reason in reasons]


def ending(story: Story) -> str:
    """What there is to look at now."""
    platform = story.platform
    lines = ["", story.slipway("status").rstrip(), ""]
    for server in platform.servers:
        lines.append(f"{server.environment:<12}http://127.0.0.1:{server.http_port}/v2/models/{MODEL}")
    lines += [
        f"{'Prometheus':<12}{platform.prometheus_url}",
        f"{'report':<12}{platform.store / MODEL / '2' / 'report.html'}",
        f"{'log':<12}{story.log}",
        "",
    ]
    log = git(platform.env_repo, "log", "--first-parent", "--format=  %h  %an  %s", "main", "--", "envs/production")
    return "\n".join([*lines, "production in git:", log.rstrip(), ""])


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


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a step.")
def main(as_json: bool) -> None:
    """Tell the whole story with real pushes, then stop everything unless KEEP=1."""
    perform(tell, ending, as_json)


if __name__ == "__main__":
    run_story(main)
