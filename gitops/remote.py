"""Reach an environment repository: what its branches point at, its objects, and how to move a branch.

A folder lends its objects to a scratch repository (git's alternates), so nothing is copied. From a URL only commits are
fetched; the trees and files that are needed follow in one request each. A server that cannot filter sends everything,
which is slower and just as right.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from gitops.delivery import deliver, written_pack
from gitops.git import Git, Result, check_url
from gitops.tree import list_files
from gitops.turn import turn
from slipway.errors import Misconfigured, TryAgain

__all__ = ["LOOK_BACK", "MAIN", "Remote", "opened"]

MAIN = "refs/heads/main"
# Commits that are looked through for what an earlier process of the same operation may have left.
LOOK_BACK = 500
_OID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@dataclass(slots=True)
class Remote:
    """A repository, and a scratch repository in which its objects are read and new ones written."""

    url: str
    git: Git
    local: Path | None  # the git directory when the repository is a folder
    have: set[str] = field(default_factory=set)  # fetched already

    def branches(self, *refs: str, depth: int | None = None) -> dict[str, str]:
        """The commit of each of `refs`, or of every ref below one that ends with /; those commits can be read after.

        depth: how many commits back from there are needed (None: all). Raises TryAgain when the server is away.
        """
        if self.local is not None:
            out = Git(self.local, self.git.timeout).run("for-each-ref", "--format=%(objectname)\t%(refname)", *refs)
        else:
            out = self._asked("ls-remote", "--", self.url, *(f"{ref}*" if ref.endswith("/") else ref for ref in refs))
        found = {ref: oid for oid, ref in (line.split("\t", 1) for line in out.decode().splitlines())}
        self.fetch_commits(found.values(), depth)
        return found

    def fetch_commits(self, oids: Iterable[str], depth: int | None = 1) -> None:
        """Bring commits, without their trees, and those before them down to `depth`; those of a folder are there."""
        # After the first time git knows what is here, and is sent only what came after it.
        self._fetch(oids, *([f"--depth={depth}"] if depth and not self.have else []), "--filter=tree:0")

    def bring(self, commit: str) -> bool:
        """Whether the repository has a commit; after True it can be read. Raises TryAgain when the server is away."""
        if self.local is not None:
            return self.git.ask("cat-file", "-e", f"{commit}^{{commit}}").status == 0
        try:
            self.fetch_commits([commit])
        except TryAgain:
            self.branches(MAIN, depth=1)  # is it the commit that is missing, or the server?
            return False
        return True

    def fetch_trees(self, commit: str) -> None:
        """Bring all folders of a commit, without the files in them."""
        if self.local is None:
            self.fetch_objects([self._tree(commit)])

    def prefetch(self, commit: str, paths: Sequence[str]) -> None:
        """Bring what is at or below `paths`, and all folders; of a folder repository everything is there already."""
        if self.local is None:
            # All folders, though few are needed: github.com refuses a filter that ends at a depth other than 0.
            self.fetch_trees(commit)
            self.fetch_objects([entry.oid for entry in list_files(self.git, commit, paths) if not entry.oddity])

    def fetch_objects(self, oids: Sequence[str]) -> None:
        """Bring objects, and everything below them but files, in one request."""
        self._fetch(oids, "--filter=blob:none")

    def push(self, moves: Mapping[str, tuple[str | None, str | None]]) -> Result:
        """Move refs, all or none: {ref: (commit it must have now, commit it gets)}; None stands for "no such ref"."""
        if self.local is not None:
            return deliver(Git(self.local, self.git.timeout), moves, written_pack(self.git.folder))
        leases = [f"--force-with-lease={ref}:{old or ''}" for ref, (old, _) in moves.items()]
        specs = [f"{new or ''}:{ref}" for ref, (_, new) in moves.items()]
        atomic = ["--atomic"] if len(moves) > 1 else []
        return self.git.ask("push", "--porcelain", "--no-verify", *atomic, *leases, "--", self.url, *specs)

    def forget(self) -> None:
        """Remove what was written here and not delivered, before a commit is built on what is there now."""
        if self.local is not None:
            for path in (self.git.folder / "objects" / "pack").iterdir():
                path.unlink()

    def turn(self, wait: float = 120.0) -> AbstractContextManager[None]:
        """Stand in line with this machine's other writers, where the repository is a folder."""
        return turn(self.local, wait) if self.local is not None else nullcontext()

    def ids(self, revisions: Sequence[str]) -> list[str | None]:
        """The object that each revision names in a folder repository, as git has it now; None for nothing."""
        git = Git(self.local, self.git.timeout) if self.local is not None else self.git
        out = git.run("cat-file", "--batch-check=%(objectname)", stdin="\n".join(revisions).encode() + b"\n")
        return [line if _OID.fullmatch(line) else None for line in out.decode(errors="replace").splitlines()]

    def _tree(self, commit: str) -> str:
        # Not rev-parse: that would fetch the tree, and everything below it, to see that it is one.
        return self.git.run("log", "--max-count=1", "--format=%T", commit, "--").decode().strip()

    def _fetch(self, oids: Iterable[str], *options: str) -> None:
        wanted = [oid for oid in dict.fromkeys(oids) if oid not in self.have] if self.local is None else []
        if wanted:
            self._asked(
                *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", *options, "--stdin", "--", self.url),
                stdin="\n".join(wanted).encode() + b"\n",
            )
            self.have.update(wanted)

    def _asked(self, *arguments: str, stdin: bytes = b"") -> bytes:
        result = self.git.ask(*arguments, stdin=stdin)
        if result.status != 0:
            raise TryAgain(f"{self.url} does not answer ({result.reason}); check the address and try again")
        return result.out


@contextmanager
def opened(url: str, timeout: float = 120.0) -> Iterator[Remote]:
    """A scratch repository for `url`, removed at the end; raises Misconfigured when a folder is no repository."""
    local = _git_dir(check_url(url))
    with tempfile.TemporaryDirectory(prefix="slipway-git-") as folder:
        git = Git(Path(folder), timeout)
        # What `git init --bare` makes, without a process.
        for part in ("refs/heads", "objects/info", "objects/pack"):
            (git.folder / part).mkdir(parents=True)
        (git.folder / "HEAD").write_text("ref: refs/heads/main\n")
        (git.folder / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
        if local is not None:
            (git.folder / "objects" / "info" / "alternates").write_text(f"{local / 'objects'}\n")
        yield Remote(url, git, local)


def _git_dir(url: str) -> Path | None:
    folder = Path(url)
    for candidate in (folder, folder / ".git"):
        if (candidate / "HEAD").is_file() and (candidate / "objects").is_dir():
            return candidate.absolute()
    if "://" in url or (":" in url.split("/")[0] and not folder.exists()):
        return None
    raise Misconfigured(f"{url} is not a git repository; give ENV_REPO a bare repository's folder or URL")
