"""Which evidence does a commit of the environment repository carry?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from gitops.layout import EVIDENCE_FILE, evidence_path
from gitops.remote import Remote, opened
from gitops.tree import list_files, read_blobs
from slipway.errors import Rejected

__all__ = ["evidence_at", "evidence_of"]

_FULL = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def evidence_of(url: str, revision: str) -> tuple[str, Mapping[str, bytes]]:
    """The full id of a commit, and every evidence.json that it added or changed, by path.

    revision: a commit's id, shortened or not, or a branch such as promote/production/digits-3. A merge is compared
    with its first parent. Raises Rejected when there is no such commit, or it carries no evidence.
    """
    with opened(url) as remote:
        commit = _resolve(remote, revision)
        parent = _first_parent(remote, commit)
        before = _oids(remote, parent) if parent else {}
        changed = {path: oid for path, oid in _oids(remote, commit).items() if before.get(path) != oid}
        if not changed:
            raise Rejected(f"{commit[:12]} carries no evidence; `slipway history` lists commits that release something")
        return commit, _read(remote, changed)


def evidence_at(url: str, places: Iterable[tuple[str, str, str]]) -> Mapping[tuple[str, str, str], bytes]:
    """evidence.json of (commit, environment, model), each where it exists."""
    found: dict[tuple[str, str, str], bytes] = {}
    with opened(url) as remote:
        for commit, environment, model in places:
            path = evidence_path(environment, model)
            if not remote.bring(commit):
                continue
            remote.prefetch(commit, [path])
            entries = [entry for entry in list_files(remote.git, commit, [path]) if not entry.oddity]
            for content in read_blobs(remote.git, (entry.oid for entry in entries)).values():
                found[commit, environment, model] = content
    return found


def _resolve(remote: Remote, revision: str) -> str:
    if _FULL.fullmatch(revision) and remote.bring(revision):
        return revision
    heads = remote.branches("refs/heads/")
    if head := heads.get(f"refs/heads/{revision}"):
        return head
    asked = remote.git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if asked.status != 0 or not re.fullmatch(r"[0-9a-f]{4,64}", revision):
        raise Rejected(f"{remote.url} has no commit {revision[:80]!r}; `slipway history` lists them")
    return asked.out.decode().strip()


def _first_parent(remote: Remote, commit: str) -> str | None:
    # Not from the log: of a commit that was fetched alone that knows no parents.
    lines = remote.git.run("cat-file", "commit", commit).split(b"\n\n", 1)[0].decode(errors="replace").splitlines()
    return next((line.removeprefix("parent ") for line in lines if line.startswith("parent ")), None)


def _oids(remote: Remote, commit: str) -> dict[str, str]:
    remote.bring(commit)
    remote.fetch_trees(commit)
    return {
        entry.path: entry.oid
        for entry in list_files(remote.git, commit, ["envs"])
        if not entry.oddity and EVIDENCE_FILE.fullmatch(entry.path)
    }


def _read(remote: Remote, oids: Mapping[str, str]) -> dict[str, bytes]:
    remote.fetch_objects(list(oids.values()))
    blobs = read_blobs(remote.git, oids.values())
    return {path: blobs[oid] for path, oid in oids.items()}
