"""How does a version leave the store, so that what arrives is what was published?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from slipway.errors import Rejected
from slipway.manifest import Manifest
from slipway.version import ModelVersion
from triton_repo import signing
from triton_repo.hashing import copy_and_hash
from triton_repo.staging import place, remove_tree, sync_tree
from triton_repo.store import ModelStore, check_file, find, store_errors

__all__ = ["check", "fetch"]

_UNLISTED = {"manifest.json", "manifest.sig"}


def _trusted(store: ModelStore, version: ModelVersion, verify_key: Path | None) -> Manifest:
    """The manifest once its digest, signature and list of files are right."""
    where = f"{version} in {store.url}"
    manifest = find(store, version.name, version.number, version.digest)
    if verify_key is not None:
        content = store.manifest_bytes(version.name, version.number)
        signing.verify(content, store.read(version.name, version.number, "manifest.sig"), verify_key, where)
    found, listed = set(store.files(version.name, version.number)) - _UNLISTED, set(manifest.files)
    for path, problem in [(p, "is missing") for p in listed - found] + [(p, "is not listed") for p in found - listed]:
        raise Rejected(f"{where}: {path} {problem} in its manifest's terms; publish the version again")
    return manifest


def check(store: ModelStore, version: ModelVersion, *, verify_key: Path | None) -> Manifest:
    """Read every byte of a version and raise Rejected unless digest, signature and all files are right."""
    manifest = _trusted(store, version, verify_key)
    for path in sorted(manifest.files):
        _copy(store, version, manifest, path, None)
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
    manifest = _trusted(store, version, verify_key)
    content = store.manifest_bytes(version.name, version.number)
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
            _copy(store, version, manifest, path, partial / check_file(path))
        with store_errors(str(destination)):
            (partial / "manifest.sig").write_bytes(store.read(version.name, version.number, "manifest.sig"))
            (partial / "manifest.json").write_bytes(content)
            sync_tree(partial)
            place(partial, destination)
    finally:
        remove_tree(partial)
    return manifest


def _copy(store: ModelStore, version: ModelVersion, manifest: Manifest, path: str, target: Path | None) -> None:
    where = f"{version} in {store.url}"
    with store.open(version.name, version.number, path) as source, store_errors(str(target or where)):
        if target is None:
            entry = copy_and_hash(source)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb", buffering=0) as sink:
                entry = copy_and_hash(source, sink)
    if entry != manifest.files[path]:
        raise Rejected(f"{where}: {path} is not the file that was published; do not serve it, publish it again")
