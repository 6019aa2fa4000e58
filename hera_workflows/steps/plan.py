"""Which list does the workflow of a push fan out from, and which tree are its models trained from?

- A model.yaml with errors does not stop other people's models: the errors are printed, and that model's own training
  refuses them. Where nothing else changed, plan does, with all of them.
- A push is compared with the last one that was planned: what came between was lost, broke, or was refused as a whole.
- Training runs people's code and reaches no repository, so the tree of the pushed commit is written for it here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hera_workflows.changed import Tree, changed_models, check_paths, touched_paths
from hera_workflows.forges import ForgeFlags, forge_options
from hera_workflows.steps import run_step
from hera_workflows.workspace import run_folder, work_folder
from slipway.change import Change, Changes
from slipway.errors import Misconfigured, Rejected, SlipwayError
from slipway.names import MODEL, check_commit
from slipway.spec import ModelSpec

if TYPE_CHECKING:
    from gitops.remote import Remote

__all__ = ["NothingElse", "lay_out", "plan", "plan_push"]

# Seconds that a pod has beyond the training's own limit, to start, to fetch data and to say that the limit was
# reached: a pod that is ended at the same moment leaves its people no word of what to change.
_AROUND = 600
_ZEROS = re.compile(r"0{40}(0{24})?")


class NothingElse(Rejected):
    """Only models with errors changed; `problems` has what is wrong with each."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("\n".join(problems.values()))
        self.problems = problems


@click.command()
@click.option("--source-repo", required=True, help="The repository that was pushed to: a folder or a URL.")
@click.option("--before", required=True, help="The commit before the push; zeros for a new branch.")
@click.option("--after", required=True, help="The commit that was pushed; zeros when the branch was deleted.")
@click.option("--run", "run_name", required=True, help="The workflow's name; its folder in the workspace.")
@click.option("--workspace", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Where the list goes.")
@forge_options
def plan(
    source_repo: str, before: str, after: str, run_name: str, workspace: Path, output: Path, forge: ForgeFlags
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
        base = _planned_before(forge, remote, check_commit(before))
        try:
            changes, problems = plan_push(remote, base, check_commit(after))
        except NothingElse as refusal:
            _say(forge, after, run_name, problems=refusal.problems)
            raise
        for problem in problems.values():
            click.echo(problem, err=True)
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
    """The commit that this push is compared with; zeros when every model is new."""
    from hera_workflows.heard import FAR_BACK, planned_before

    try:
        source = forge.source()
        if source is None or _ZEROS.fullmatch(before):
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

    if _ZEROS.fullmatch(commit):
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


def lay_out(remote: Remote, commit: str, models: Sequence[str], workspace: Path, run: str) -> None:
    """Make RUN/source/, the tree of `commit`, and the folders that the training of each model may write.

    Killed at any point, the next call does the rest; a tree that is there is whole and stays.
    Raises Rejected when a link leads out of the tree, TryAgain when the repository does not answer.
    """
    from gitops.checkout import check_out
    from triton_repo.staging import place, staged, sync_tree

    folder = run_folder(workspace, run)
    with staged(folder / ".staging", "source") as tree:
        if not (folder / "source").exists():
            check_out(remote, commit, tree)
            sync_tree(tree)
            place(tree, folder / "source")
    for model in models:
        work_folder(workspace, run, model).mkdir(exist_ok=True)
        # A cache of its own for each model: what one model's code does to it reaches no other model.
        (workspace / "datasets" / model).mkdir(parents=True, exist_ok=True)


def plan_push(remote: Remote, before: str, after: str) -> tuple[list[Change], dict[str, str]]:
    """What a push changed, and the errors in the model.yaml files of it by model.

    Raises Rejected when a path in the push cannot be a model, NothingElse when nothing but models with errors changed.
    """
    from gitops.tree import read_blobs
    from hera_workflows.models import read_spec

    if _ZEROS.fullmatch(after):
        return [], {}
    if not remote.bring(after):
        raise Rejected(f"{remote.url} has no commit {after}; push it again")
    old = _tree(remote, before) if not _ZEROS.fullmatch(before) and remote.bring(before) else None
    new = _tree(remote, after)
    touched = None if old is None else touched_paths(old, new)
    check_paths(new)
    whys = changed_models(old, new, touched)
    oids = [oid for name, oid in new.models.items() if name in whys]
    remote.fetch_objects(oids)
    contents = read_blobs(remote.git, oids)
    changes, problems = list[Change](), dict[str, str]()
    for name, why in whys.items():
        if name not in new.models:
            if not re.fullmatch(MODEL, name, re.ASCII):
                continue  # refused when it was pushed, and renamed since
            changes.append(Change(model=name, action="deleted", commit=after, why=why))
            continue
        where = f"models/{name}/model.yaml"
        try:
            spec = read_spec(contents[new.models[name]], where)
            if spec.name != name:
                raise Rejected(f"{where}: its name is {spec.name}, its folder {name}; give both the same name")
        except Rejected as error:
            problems[name] = str(error)
            spec = ModelSpec(name=name, task="unknown")
        changes.append(_change(name, after, why, spec))
    if problems and len(problems) == len(changes):
        raise NothingElse(problems)
    return changes, problems


def _tree(remote: Remote, commit: str) -> Tree:
    from gitops.tree import list_files, read_blobs

    remote.fetch_trees(commit)
    entries = list_files(remote.git, commit)
    links = {entry.path: entry.oid for entry in entries if entry.mode == "120000"}
    remote.fetch_objects(list(links.values()))
    targets = read_blobs(remote.git, links.values())
    return Tree(
        files={entry.path: entry.oid for entry in entries if entry.oddity is None},
        links={path: targets[oid].decode(errors="surrogateescape") for path, oid in links.items()},
        submodules={entry.path: entry.oid for entry in entries if entry.mode == "160000"},
    )


def _change(name: str, commit: str, why: str, spec: ModelSpec) -> Change:
    train = spec.train
    return Change(
        model=name,
        action="changed",
        commit=commit,
        why=why,
        start=train.start,
        data="declared" if any("://" in source.url for source in spec.data.values()) else "none",
        gpus=str(train.gpus),
        cpu=train.cpu,
        memory=train.memory,
        ephemeral_storage=train.ephemeral_storage,
        node_selector=train.node_selector,
        tolerations=train.tolerations,
        timeout_seconds=str(int(train.timeout.total_seconds()) + _AROUND),
    )


if __name__ == "__main__":
    run_step(plan)
