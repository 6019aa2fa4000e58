"""Read files at a commit, many at once: one process lists them, one reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gitops.git import Git
from slipway.errors import TryAgain

__all__ = ["Entry", "list_files", "read_blobs"]

_KINDS = {"120000": "a symbolic link", "160000": "a submodule"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a tree."""

    mode: str  # "100644", "100755", "120000" (symbolic link), "160000" (submodule)
    oid: str
    path: str

    @property
    def oddity(self) -> str | None:
        """What it is if it is not a plain file: "a symbolic link", "a submodule"."""
        return _KINDS.get(self.mode)


def list_files(git: Git, commit: str, paths: Sequence[str] = ()) -> list[Entry]:
    """Every file at or below `paths` (all when empty) at a commit, in git's order; bytes that are no UTF-8 escaped."""
    listing = git.run("ls-tree", "-r", "-z", "--full-tree", commit, "--", *paths)
    entries = []
    for line in listing.decode(errors="surrogateescape").split("\0")[:-1]:
        head, path = line.split("\t", 1)
        mode, _, oid = head.split(" ")
        entries.append(Entry(mode, oid, path))
    return entries


def read_blobs(git: Git, oids: Iterable[str]) -> dict[str, bytes]:
    """The content of each object; raises TryAgain when one is missing (the repository was changed underneath)."""
    wanted = list(dict.fromkeys(oids))
    if not wanted:
        return {}
    out = git.run("cat-file", "--batch", stdin="\n".join(wanted).encode() + b"\n")
    blobs: dict[str, bytes] = {}
    start = 0
    for oid in wanted:
        end = out.index(b"\n", start)
        header = out[start:end].split(b" ")
        if len(header) != 3:
            raise TryAgain(f"object {oid} is missing in {git.folder}; check the repository with `git fsck`")
        size = int(header[2])
        blobs[oid] = out[end + 1 : end + 1 + size]
        start = end + size + 2
    return blobs
