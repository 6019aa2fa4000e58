"""Write the files of one commit into a folder, as plain files without history."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gitops.remote import Remote
from gitops.tree import list_files
from slipway.errors import Rejected

__all__ = ["check_out"]


def check_out(remote: Remote, commit: str, folder: Path) -> None:
    """Write the tree of `commit`, which `remote` has brought, into the empty `folder`; submodules stay empty folders.

    Raises Rejected when a symbolic link leads out of the folder, TryAgain when the repository does not answer.
    """
    remote.fetch_trees(commit)
    remote.fetch_objects([entry.oid for entry in list_files(remote.git, commit) if entry.mode != "160000"])
    remote.git.run(f"--work-tree={folder}", "read-tree", "--reset", "-u", commit)
    root = folder.resolve()
    for link in _links(folder):
        target = link.readlink()
        # Through the file system and not by its text: a link over another link may lead further up than it says.
        if target.is_absolute() or not Path(os.path.realpath(link)).is_relative_to(root):
            where = str(link.relative_to(folder))
            raise Rejected(f"{where!r} links to {str(target)[:80]!r}, outside the repository; commit the file itself")


def _links(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        yield from (path for name in (*folders, *files) if (path := Path(parent, name)).is_symlink())
