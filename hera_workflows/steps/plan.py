"""Write the list that the workflow of a push fans out from, and the tree that its models are trained from.

A push is compared with the commit before it, and with the last one that was planned: what came between was lost, broke,
was refused as a whole, or is planned at this moment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hera_workflows.forges import ForgeFlags, forge_options
from hera_workflows.pushed import ZEROS, NothingElse, back_again, changes_of
from hera_workflows.source_tree import lay_out
from hera_workflows.steps import run_step
from hera_workflows.workspace import run_folder
from slipway.change import Changes
from slipway.errors import Misconfigured, SlipwayError
from slipway.names import check_commit

if TYPE_CHECKING:
    from gitops.remote import Remote

__all__ = ["plan"]


@click.command()
@click.option("--source-repo", required=True, help="The repository that was pushed to: a folder or a URL.")
@click.option("--before", required=True, help="The commit before the push; zeros for a new branch.")
@click.option("--after", required=True, help="The commit that was pushed; zeros when the branch was deleted.")
@click.option("--branch", default="main", show_default=True, help="The branch that was pushed to.")
@click.option("--run", "run_name", required=True, help="The workflow's name; its folder in the workspace.")
@click.option("--workspace", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Where the list goes.")
@forge_options
def plan(
    source_repo: str,
    before: str,
    after: str,
    branch: str,
    run_name: str,
    workspace: Path,
    output: Path,
    forge: ForgeFlags,
) -> None:
    """Write which models a push changed, as a JSON list, and its tree to RUN/source/ in the workspace.

    \b
    Example:
      python -m hera_workflows.steps.plan --source-repo .slipway/source.git \\
        --before 0000000000000000000000000000000000000000 --after "$(git rev-parse HEAD)" \\
        --run push-1 --workspace /tmp/workspace --output changes.json
    """
    from gitops.remote import opened

    run_folder(workspace, run_name)
    with opened(source_repo, timeout=300.0) as remote:
        planned = _planned_before(forge, remote, check_commit(before))
        try:
            changes, problems = changes_of(remote, [before, planned], check_commit(after))
        except NothingElse as refusal:
            _say(forge, after, run_name, problems=refusal.problems)
            raise
        for problem in problems.values():
            click.echo(problem, err=True)
        for model in sorted(back := back_again(remote, branch, changes)):
            click.echo(f"{model}: goes on, for {branch} has it again")
        changes = [change for change in changes if change.model not in back]
        models = [change.model for change in changes if change.action == "changed"]
        if models:
            lay_out(remote, after, models, workspace, run_name)
    for change in changes:
        click.echo(f"{change.model}: {change.action} ({change.why})")
    if not changes:
        click.echo("no model changed")
    try:
        # A path may hold what Argo would take for a variable; outside of a text JSON has no two braces in a row.
        output.write_bytes(re.sub(rb"\{(?=\{)", rb"\\u007b", Changes.dump_json(changes)))
    except OSError as error:
        raise Misconfigured(f"--output {output}: {error.strerror}; give a file that can be written") from None
    # Last: what is said here makes the push one that was planned.
    _say(forge, after, run_name, models, [change.model for change in changes if change.action == "deleted"])


def _planned_before(forge: ForgeFlags, remote: Remote, before: str) -> str:
    """The last commit that was planned, as far as the forge says; zeros when every model is new."""
    from hera_workflows.heard import FAR_BACK, planned_before

    try:
        source = forge.source()
        if source is None or ZEROS.fullmatch(before):
            return before
        remote.fetch_commits([before], depth=FAR_BACK)
        return planned_before(remote, source, before) or before
    except SlipwayError as error:
        click.echo(f"compared with {before[:12]}, whatever was planned before: {error}", err=True)
        return before


def _say(
    forge: ForgeFlags,
    commit: str,
    run: str,
    changed: Sequence[str] = (),
    deleted: Sequence[str] = (),
    problems: Mapping[str, str] | None = None,
) -> None:
    """problems: why each model is refused that the push changed, when nothing follows from it."""
    from hera_workflows.source_status import begin, hear, refuse

    if ZEROS.fullmatch(commit):
        return
    try:
        if (source := forge.source()) is not None:
            if problems:
                refuse(source, commit, problems, forge.page(run))
            else:
                begin(source, commit, changed, forge.page(run))
                hear(source, commit, changed, deleted, forge.page(run))
    except SlipwayError as error:
        click.echo(f"the forge is not told what follows: {error}", err=True)  # which is no reason not to train


if __name__ == "__main__":
    run_step(plan)
