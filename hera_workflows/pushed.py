"""What did a push change, and what does each of its models ask for?

A model.yaml with errors does not stop other people's models: that model's own training refuses them. Where nothing else
changed, the push is refused, with all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hera_workflows.changed import Tree, changed_models, check_paths, touched_paths
from slipway.change import Change
from slipway.errors import Rejected
from slipway.names import MODEL
from slipway.spec import ModelSpec

if TYPE_CHECKING:
    from gitops.remote import Remote

__all__ = ["ZEROS", "NothingElse", "back_again", "changes_of", "check_push"]

ZEROS = re.compile(r"0{40}(0{24})?")  # git's commit before a new branch, and after a deleted one
# Seconds that a pod has beyond the training's own limit, to start, to fetch data and to say that the limit was
# reached: a pod that is ended at the same moment leaves its people no word of what to change.
_AROUND = 600


class NothingElse(Rejected):
    """Only models with errors changed; `problems` has what is wrong with each."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("\n".join(problems.values()))
        self.problems = problems


def changes_of(remote: Remote, befores: Sequence[str], after: str) -> tuple[list[Change], dict[str, str]]:
    """What a push changed of any of the commits `befores`, and the errors in the model.yaml files of it by model.

    Raises Rejected when a path in the push cannot be a model, NothingElse when nothing but models with errors changed.
    """
    from gitops.tree import read_blobs
    from hera_workflows.models import read_spec

    if ZEROS.fullmatch(after):
        return [], {}
    if not remote.bring(after):
        raise Rejected(f"{remote.url} has no commit {after}; push it again")
    new = check_push(remote, after)
    whys: dict[str, str] = {}
    for before in dict.fromkeys(befores):
        old = _tree(remote, before) if not ZEROS.fullmatch(before) and remote.bring(before) else None
        touched = None if old is None else touched_paths(old, new)
        whys = changed_models(old, new, touched) | whys
    oids = [oid for name, oid in new.models.items() if name in whys]
    remote.fetch_objects(oids)
    contents = read_blobs(remote.git, oids)
    changes, problems = list[Change](), dict[str, str]()
    for name, why in sorted(whys.items()):
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


def check_push(remote: Remote, commit: str) -> Tree:
    """The files of a commit that was brought; raises Rejected when a path in it cannot be a model."""
    tree = _tree(remote, commit)
    check_paths(tree)
    return tree


def back_again(remote: Remote, branch: str, changes: Sequence[Change]) -> set[str]:
    """The models that a push deleted and a later one, which may have come through first, put back on the branch."""
    deleted = {change.model for change in changes if change.action == "deleted"}
    ref = f"refs/heads/{branch}"
    head = remote.branches(ref, depth=1).get(ref) if deleted else None
    return deleted & _tree(remote, head).models.keys() if head is not None else set()


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
