"""Does a request's commit release its version, and change nothing else?"""

from __future__ import annotations

from gitops.layout import evidence_path, folder
from gitops.release import files_of
from gitops.remote import Remote
from gitops.tree import Entry, list_files, read_blobs
from slipway.version import ModelVersion

__all__ = ["files_at", "releases_only"]


def files_at(remote: Remote, commit: str, environment: str, model: str) -> dict[str, bytes]:
    """The plain files of one model in one environment at a commit, by path."""
    return _read(remote, _entries(remote, commit, environment, model))


def releases_only(remote: Remote, base: str, head: str, environment: str, version: ModelVersion) -> bool:
    """Whether `head` is `base` with the files of the release, and evidence, whatever its message says."""
    place = (environment, version.name)
    before, after = _entries(remote, base, *place), _entries(remote, head, *place)
    if {e for e in before if e.oddity} != {e for e in after if e.oddity}:
        return False
    files, found = _read(remote, before), _read(remote, after)
    evidence = found.get(evidence_path(*place))
    wanted = {**files, **files_of(files, environment, version, evidence)}
    return {path: content for path, content in wanted.items() if content is not None} == found and (
        _beside(remote, base, *place) == _beside(remote, head, *place)
    )


def _entries(remote: Remote, commit: str, environment: str, model: str) -> list[Entry]:
    paths = [folder(environment, model)]
    remote.prefetch(commit, paths)
    return list_files(remote.git, commit, paths)


def _read(remote: Remote, entries: list[Entry]) -> dict[str, bytes]:
    plain = [entry for entry in entries if not entry.oddity]
    blobs = read_blobs(remote.git, (entry.oid for entry in plain))
    return {entry.path: blobs[entry.oid] for entry in plain}


def _beside(remote: Remote, commit: str, environment: str, model: str) -> set[bytes]:
    """Everything that is not in the model's folder, other folders by their ids."""
    above = folder(environment, model).split("/")
    way = ["/".join(above[:depth]) for depth in range(1, len(above) + 1)]
    lists: tuple[list[str], ...] = ([], [f"{path}/" for path in way[:-1]])
    lines = b"".join(remote.git.run("ls-tree", "-z", "--full-tree", commit, "--", *paths) for paths in lists)
    return {line for line in lines.split(b"\0") if line.partition(b"\t")[2].decode(errors="replace") not in way}
