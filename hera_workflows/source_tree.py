"""The tree of a pushed commit, as its models are trained from it.

Training runs people's code and reaches no repository, so the tree is written for it into the workspace.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hera_workflows.workspace import run_folder, work_folder

if TYPE_CHECKING:
    from gitops.remote import Remote

__all__ = ["lay_out"]


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
