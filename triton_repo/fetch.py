"""How does a version leave the store, so that what arrives is what was published?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from slipway.errors import Rejected
from slipway.manifest import FileEntry, Manifest
from slipway.version import ModelVersion
from triton_repo import signing
from triton_repo.hashing import copy_and_hash, entry_of
from triton_repo.staging import place, remove_tree, sync_tree
from triton_repo.store import ModelStore, check_file
from triton_repo.store_errors import store_errors

__all__ = ["check", "copy_published", "fetch", "read_published"]

_UNLISTED = {"manifest.json", "manifest.sig"}


def _trusted(store: ModelStore, version: ModelVersion, verify_key: Path | None) -> tuple[Manifest, bytes]:
    """The manifest and its bytes, once digest, signature and list of files are right."""
    where = f"{version} in {store.url}"
    manifest, content = store.pinned(version)
    if verify_key is not None:
        signing.verify(content, store.read(version.name, version.number, "manifest.sig"), verify_key, where)
    found, listed = set(store.files(version.name, version.number)) - _UNLISTED, set(manifest.files)
    if listed != found:
        path = min(listed ^ found)
        problem = "is missing" if path in listed else "is not listed in the manifest"
        raise Rejected(f"{where}: {path} {problem}; do not serve it, publish it again")
    return manifest, content


def check(store: ModelStore, version: ModelVersion, *, verify_key: Path | None) -> Manifest:
    """Read every byte of a version and raise Rejected unless digest, signature and all files are right."""
    manifest, _ = _trusted(store, version, verify_key)
    for path in sorted(manifest.files):
        with store.open(manifest.name, manifest.number, path) as source, store_errors(f"{version} in {store.url}"):
            entry = copy_and_hash(source)
        _check(store, manifest, path, entry)
    return manifest


def fetch(
    store: ModelStore,
    version: ModelVersion,
    destination: Path,
    *,
    verify_key: Path | None,
    only: Callable[[str], bool] = lambda path: True,
) -> Manifest:
    """Copy a version to a folder that appears by one rename, each byte verified on the way.

    only: which of the listed files to copy; manifest.json and manifest.sig always come. A destination that already
    holds this version is left alone; anything else there raises Rejected. One process at a time per destination.
    Raises Rejected for a wrong digest, signature, size or hash, a missing or an extra file.
    """
    manifest, content = _trusted(store, version, verify_key)
    if destination.exists():
        if (here := destination / "manifest.json").is_file() and here.read_bytes() == content:
            return manifest
        raise Rejected(f"{destination} exists and is not {version}; remove it or choose another folder")
    partial = destination.with_name(f".{destination.name}.partial")
    with store_errors(str(destination)):
        remove_tree(partial)
        partial.mkdir(parents=True)
    try:
        for path in sorted(filter(only, manifest.files)):
            copy_published(store, manifest, path, partial / check_file(path))
        with store_errors(str(destination)):
            (partial / "manifest.sig").write_bytes(store.read(version.name, version.number, "manifest.sig"))
            (partial / "manifest.json").write_bytes(content)
            sync_tree(partial)
            place(partial, destination)
    finally:
        remove_tree(partial)
    return manifest


def copy_published(store: ModelStore, manifest: Manifest, path: str, target: Path) -> None:
    """Copy one file of a version to a new file; raises Rejected when it is not the one that the manifest lists."""
    where = f"{manifest.name}@{manifest.number} in {store.url} to {target}"
    with store.open(manifest.name, manifest.number, path) as source, store_errors(where):
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb", buffering=0) as sink:
            entry = copy_and_hash(source, sink)
    _check(store, manifest, path, entry)


def read_published(store: ModelStore, manifest: Manifest, path: str) -> bytes:
    """The content of one small file of a version; raises Rejected when it is not the one that the manifest lists."""
    content = store.read(manifest.name, manifest.number, path)
    _check(store, manifest, path, entry_of(content))
    return content


def _check(store: ModelStore, manifest: Manifest, path: str, found: FileEntry) -> None:
    if found != manifest.files.get(path):
        where = f"{manifest.name}@{manifest.number} in {store.url}"
        raise Rejected(f"{where}: {path} is not the file that was published; do not serve it, publish it again")
