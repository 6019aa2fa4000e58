"""Tell people how a workflow ended: one line always, a message where a notification URL is set."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from hera_workflows.forges import ForgeFlags, forge_options
from hera_workflows.steps import run_step
from slipway.errors import Misconfigured, SlipwayError, TryAgain
from slipway.names import check_commit
from slipway.text import one_line

if TYPE_CHECKING:
    from gitops.forge import Forge

__all__ = ["Failure", "Outcome", "outcome", "read_failures", "report_outcome"]

_LONGEST = 300  # characters of one step's message
_RECENT = 500  # releases among which those of this workflow are
_KILLED = re.compile(r"OOMKilled \(exit code [0-9]+\)$")
_FILED = re.compile(r"@(/tmp/argo_arg_[0-9]+\.txt)")  # what Argo passes for an argument of more than 128 KiB
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
    """The failed steps in `workflow.failures`: base64 of a JSON list that Argo quotes once more, in a file if long.

    Text that is none of this still says something, so it becomes the message of one nameless failure.
    """
    try:
        if (filed := _FILED.fullmatch(text)) is not None:
            text = Path(filed[1]).read_text()
        text = _decoded(text)
        content = json.loads(text, strict=False)
        content = json.loads(content, strict=False) if isinstance(content, str) else content
        return TypeAdapter(list[Failure]).validate_python(content or [])
    except (OSError, ValueError, ValidationError, RecursionError):
        return [Failure(message=text)]


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return text


def outcome(status: str, workflow: str, failures: list[Failure]) -> Outcome:
    """What to say; every character from outside is printable afterwards, and lines stay lines.

    Groups (a DAG that failed because a step in it did) are left out where a step can be named.
    """
    steps = _steps(failures)
    lines = [": ".join(part for part in (_clean(f.displayName), _why(f)) if part) for f in steps[:20]]
    if len(steps) > 20:
        lines.append(f"and {len(steps) - 20} more")
    return Outcome(f"{_clean(workflow)} {_clean(status)}", "\n".join(line for line in lines if line))


def _why(failure: Failure) -> str:
    # A step that the kernel killed with its container could leave no words of its own.
    if not _KILLED.search(failure.message):
        return _clean(failure.message)
    if failure.templateName == "train":
        return "out of memory: used more than train.memory; raise it in model.yaml"
    return (
        "out of memory: used more than the values file gives this step; raise its memory_limit there and render again"
    )


def _clean(text: str) -> str:
    return one_line(text, _LONGEST)


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


def _tell_source(
    source: Forge, commit: str, status: str, workflow: str, failed: list[Failure], env_repo: str, page: str
) -> None:
    from gitops.history import history
    from hera_workflows.source_status import Failed, finish

    released: dict[str, str] = {}
    for event in history(env_repo, limit=_RECENT) if env_repo else ():
        operation = event.operation
        if operation is not None and (operation.action, operation.run) == ("bump", workflow) and operation.version:
            released[operation.version.name] = operation.environment
    steps = [Failed(_clean(f.displayName), _why(f), f.templateName) for f in _steps(failed)]
    finish(source, commit, status == "Succeeded", steps, released, page)


def _steps(failures: list[Failure]) -> list[Failure]:
    # A DAG fails because a step in it did; where the step can be named the DAG says nothing more.
    return [f for f in failures if f.message and not _GROUP.fullmatch(f.message)] or failures


def _each(*tellings: Callable[[], None]) -> None:
    """Do all, whatever becomes of one. Raises TryAgain when any may end well later: better heard twice than never."""
    troubles: list[SlipwayError] = []
    for tell in tellings:
        try:
            tell()
        except SlipwayError as error:
            troubles.append(error)
    if troubles:
        family = TryAgain if any(isinstance(each, TryAgain) for each in troubles) else type(troubles[0])
        raise family("; ".join(str(each) for each in troubles))


@click.command()
@click.option("--status", required=True, help="Succeeded, Failed or Error.")
@click.option("--workflow", required=True, help="The workflow's name.")
@click.option("--failures", default="[]", help="JSON of the failed steps, as Argo gives it.")
@click.option("--commit", default="", help="The commit that was pushed: its page says how its models fared.")
@click.option("--env-repo", default="", help="The environment repository, for what the workflow released.")
@click.option("--notify", type=click.Choice(["always", "failure"]), default="always", show_default=True)
@forge_options
def report_outcome(
    status: str, workflow: str, failures: str, commit: str, env_repo: str, notify: str, forge: ForgeFlags
) -> None:
    """Print the outcome in one line; send it to NOTIFY_URL where that is set; say on the forge how each model fared."""
    failed = read_failures(failures)
    said = outcome(status, workflow, failed)
    click.echo(said.line)

    def people() -> None:
        url = os.environ.get("NOTIFY_URL", "").strip()
        if url and (notify == "always" or status != "Succeeded"):
            send(url, said)

    def source() -> None:
        if commit.strip("0") and (told := forge.source()) is not None:
            _tell_source(told, check_commit(commit), status, workflow, failed, env_repo, forge.page(workflow))

    _each(people, source)


if __name__ == "__main__":
    run_step(report_outcome)
