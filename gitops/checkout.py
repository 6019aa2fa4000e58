"""Write the files of one commit into a folder, as plain files without history."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from gitops.git import Git
from gitops.remote import Remote
from gitops.tree import list_files
from slipway.errors import Rejected, SlipwayError, TryAgain, of_disk
from slipway.text import one_line

__all__ = ["check_out"]


def check_out(remote: Remote, commit: str, folder: Path) -> None:
    """Write the tree of `commit`, which `remote` has brought, into the empty `folder`; submodules stay empty folders.

    Raises Rejected when git cannot write what is in the commit or a symbolic link leads out of the folder, TryAgain
    when the disk is full or the repository does not answer.
    """
    remote.fetch_trees(commit)
    oids = [entry.oid for entry in list_files(remote.git, commit) if entry.mode != "160000"]
    remote.fetch_objects(oids)
    result = remote.git.ask(f"--work-tree={folder}", "read-tree", "--reset", "-u", commit, dies_with_us=True)
    if result.status < 0:
        raise TryAgain(f"git read-tree was ended by signal {-result.status}; try again")
    if result.status != 0:
        raise _outside(remote.git, oids, folder) or Rejected(
            f"commit {commit[:12]} cannot be checked out: {one_line(result.reason)}; rename or remove what git names "
            "there (a file's name has 255 bytes at most), and push again"
        )
    root = folder.resolve()
    for link in _links(folder):
        target = link.readlink()
        # Through the file system and not by its text: a link over another link may lead further up than it says.
        if target.is_absolute() or not Path(os.path.realpath(link)).is_relative_to(root):
            where = str(link.relative_to(folder))
            raise Rejected(f"{where!r} links to {str(target)[:80]!r}, outside the repository; commit the file itself")


def _outside(git: Git, oids: Sequence[str], folder: Path) -> SlipwayError | None:
    """What, other than the commit, may have kept git from writing these files; None when nothing did.

    It is tried, since git names a full disk when it makes a file and not when it writes into one.
    """
    asked = "".join(f"{oid}\n" for oid in oids).encode()
    sizes = git.run("cat-file", "--batch-check=%(objectsize)", stdin=asked).decode().splitlines()
    if not all(size.isdecimal() for size in sizes):
        return TryAgain(f"files are missing in {git.folder}; check the repository with `git fsck`")
    # The largest file does not fit where any did not. 64 KiB are for folders, 1 KiB for what the index has of a file.
    for place, size in ((folder, max(map(int, sizes), default=0)), (git.folder, len(oids) << 10)):
        try:
            with tempfile.TemporaryFile(dir=place) as file:
                os.posix_fallocate(file.fileno(), 0, size + (64 << 10))
        except OSError as error:
            error.filename = str(place)
            return of_disk(error) or TryAgain(f"{place}: {error.strerror}; try again")
    return None


def _links(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        yield from (path for name in (*folders, *files) if (path := Path(parent, name)).is_symlink())
