"""Set up an environment repository: the folder `envs/` becomes its first commit."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from gitops.edit import Done, Edit, Tip, edit
from gitops.environment_repo import parse_environments
from gitops.layout import ENVIRONMENTS
from slipway.errors import Misconfigured
from slipway.operation import Operation, render_message

__all__ = ["default_folder", "seed"]


def default_folder() -> Path:
    """The `envs/` that comes with slipway."""
    packaged = Path(__file__).parent / "envs"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "envs"


def seed(url: str, folder: Path) -> Done:
    """Commit every file of `folder` that main does not have below envs/; files that are there are people's and stay.

    Raises Misconfigured when `folder` has no usable environments.yaml.
    """
    contents = _contents(folder)
    environments = parse_environments(contents.get(ENVIRONMENTS), str(folder / "environments.yaml"))
    digest = hashlib.sha256(repr(sorted(contents.items())).encode()).hexdigest()[:24]
    operation = Operation(f"seed/{digest}", "seed", environments.first.name)

    def change(tip: Tip) -> Edit | Done:
        missing: dict[str, bytes | None] = {p: c for p, c in contents.items() if p not in tip.files}
        if tip.commit is not None and not missing:
            return Done(tip.commit, created=False, reason="everything is there already")
        subject = "Set up the environment repository" if tip.commit is None else "Add what slipway needs below envs/"
        return Edit(missing, render_message(subject, operation))

    return edit(url, change, operation_id=operation.id, reads=sorted(contents))


def _contents(folder: Path) -> dict[str, bytes]:
    if not folder.is_dir():
        raise Misconfigured(f"{folder} is not a folder; give one with an environments.yaml and a base/")
    contents: dict[str, bytes] = {}
    for parent, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent) / name
            if name.startswith(".") or path.is_symlink() or not path.is_file():
                continue
            contents[f"envs/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    return contents
