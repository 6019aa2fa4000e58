"""Set up an environment repository: the folder `envs/` becomes its first commit."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

from gitops.edit import Done, Edit, Tip, edit
from gitops.environment_repo import parse_environments
from gitops.installation import Installation, render_installation
from gitops.layout import ENVIRONMENTS
from slipway.errors import Misconfigured
from slipway.operation import Operation, render_message

__all__ = ["default_folder", "seed"]


def default_folder() -> Path:
    """The `envs/` that comes with slipway."""
    packaged = Path(__file__).parent / "envs"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "envs"


def seed(url: str, folder: Path, installation: Installation | None = None) -> Done:
    """Commit every file of `folder` that main does not have below envs/; files that are there are people's and stay.

    installation: what its values file says; slipway's own files of it are brought up to date.
    Raises Misconfigured when `folder` has no usable environments.yaml, or servers cannot have that installation.
    """
    ours = render_installation(installation) if installation else {}
    contents = _contents(folder) | ours
    environments = parse_environments(contents.get(ENVIRONMENTS), str(folder / "environments.yaml"))
    # A name of its own each time: what was set back meanwhile is to be set again.
    operation = Operation(f"seed/{uuid4().hex}", "seed", environments.first.name)

    def change(tip: Tip) -> Edit | Done:
        missing: dict[str, bytes | None] = {
            path: content
            for path, content in contents.items()
            if path not in tip.files or (path in ours and tip.files[path] != content)
        }
        if tip.commit is not None and not missing:
            return Done(tip.commit, created=False, reason="everything is there already")
        if tip.commit is None:
            subject = "Set up the environment repository"
        elif set(missing) <= set(ours):
            subject = "Give the servers the images and the store of the installation"
        else:
            subject = "Add what slipway needs below envs/"
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
