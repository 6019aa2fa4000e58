"""Tell people how a workflow ended: one line always, a message where a notification URL is set."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass

import click
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from hera_workflows.steps import run_step
from slipway.errors import Misconfigured, TryAgain

__all__ = ["Failure", "Outcome", "outcome", "read_failures", "report_outcome"]

_LONGEST = 300  # characters of one step's message
_GROUP = re.compile(r"child '.*' (failed|errored)", re.DOTALL)  # what Argo says of a DAG


class Failure(BaseModel):
    """One failed node, as Argo lists it in `workflow.failures`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    displayName: str = ""  # noqa: N815 - Argo's spelling
    message: str = ""
    templateName: str = ""  # noqa: N815
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is said."""

    title: str  # one line
    body: str  # a line for each failed step; empty when none failed

    @property
    def line(self) -> str:
        """All of it in one line."""
        return "; ".join([self.title, *self.body.splitlines()])


def read_failures(text: str) -> list[Failure]:
    """The failed steps in `workflow.failures`: a JSON list that Argo quotes once more.

    Text that is none of this still says something, so it becomes the message of one nameless failure.
    """
    try:
        content = json.loads(text, strict=False)
        content = json.loads(content, strict=False) if isinstance(content, str) else content
        return TypeAdapter(list[Failure]).validate_python(content or [])
    except (ValueError, ValidationError, RecursionError):
        return [Failure(message=text)]


def outcome(status: str, workflow: str, failures: list[Failure]) -> Outcome:
    """What to say; every character from outside is printable afterwards, and lines stay lines.

    Groups (a DAG that failed because a step in it did) are left out where a step can be named.
    """
    steps = [f for f in failures if f.message and not _GROUP.fullmatch(f.message)] or failures
    lines = [": ".join(part for part in (_clean(f.displayName), _clean(f.message)) if part) for f in steps[:20]]
    if len(steps) > 20:
        lines.append(f"and {len(steps) - 20} more")
    return Outcome(f"{_clean(workflow)} {_clean(status)}", "\n".join(line for line in lines if line))


def _clean(text: str) -> str:
    line = "".join(c if c.isprintable() else " " for c in text)
    line = " ".join(line.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def send(url: str, said: Outcome) -> None:
    """Send a message to one or several apprise URLs, separated by white space.

    Raises Misconfigured for a URL that apprise does not know, TryAgain when a service did not take it.
    """
    import apprise

    services = apprise.Apprise()
    for one in url.split():
        if not services.add(one):
            # The URL may hold a token, so only its kind is shown.
            raise Misconfigured(
                f"NOTIFY_URL: apprise knows no service {one.partition(':')[0][:20]!r}; see its list of URLs"
            )
    # As plain text: apprise escapes it for services that speak HTML or Markdown.
    if not services.notify(title=said.title, body=said.body or said.title, body_format=apprise.NotifyFormat.TEXT):
        raise TryAgain("the notification was not taken; see the lines above, or check NOTIFY_URL")


@click.command()
@click.option("--status", required=True, help="Succeeded, Failed or Error.")
@click.option("--workflow", required=True, help="The workflow's name.")
@click.option("--failures", default="[]", help="JSON of the failed steps, as Argo gives it.")
@click.option("--notify", type=click.Choice(["always", "failure"]), default="always", show_default=True)
def report_outcome(status: str, workflow: str, failures: str, notify: str) -> None:
    """Print the outcome in one line; send it to NOTIFY_URL where that is set."""
    said = outcome(status, workflow, read_failures(failures))
    click.echo(said.line)
    url = os.environ.get("NOTIFY_URL", "").strip()
    if url and (notify == "always" or status != "Succeeded"):
        send(url, said)


if __name__ == "__main__":
    run_step(report_outcome)
