"""How does a validated candidate become an immutable, signed version in the store?

Files are copied and hashed in one pass next to their final place, the manifest is written last, everything is synced,
and one rename makes the version visible. A version is never overwritten. Every step may be killed and run again.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from slipway.errors import Misconfigured, Rejected
from slipway.manifest import DataSummary, FileEntry, Manifest, Validation, manifest_digest, render_manifest
from slipway.spec import ModelSpec
from slipway.version import ModelVersion
from triton_repo import signing
from triton_repo.config import Signature, render_config, signature_of
from triton_repo.golden import load_golden
from triton_repo.hashing import copy_and_hash
from triton_repo.numbers import claim_number, create_exclusively
from triton_repo.runtime import Backend
from triton_repo.staging import place, staged, sync_tree
from triton_repo.store import ModelStore, check_file, store_errors

__all__ = ["POINTS", "Draft", "candidate_files", "publish"]

# Where a test may kill publish; each is named for what has just been done.
POINTS = ("claimed", "staged", "copied", "signed", "written", "synced", "placed")
_RESERVED = ("manifest.json", "manifest.sig", "config.pbtxt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Everything that a manifest says, except what publish itself finds out: number, files, format."""

    name: str
    created: datetime  # aware
    source_commit: str
    operation_id: str  # the same operation always publishes the same version
    run: str
    spec: ModelSpec
    data: DataSummary
    training: dict[str, Any]
    validation: Validation
    tools: dict[str, str]

    def manifest(self, number: int, files: dict[str, FileEntry]) -> Manifest:
        """The manifest of this draft; raises Rejected when a field is not what a manifest may hold."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        try:
            return Manifest(number=number, files=files, **fields)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise Rejected(f"the manifest of {self.name[:80]!r} would be wrong: {place}: {first['msg']}") from None


def candidate_files(folder: Path) -> list[str]:
    """The files of a candidate as POSIX paths, sorted; raises Rejected for links, devices and names of our own.

    Layout: `model/…` (what Triton loads from the version's directory) and beside it golden.npz,
    weights.safetensors, report.html.
    """
    found: list[str] = []

    def walk(parent: Path, prefix: str) -> None:
        for entry in sorted(os.scandir(parent), key=lambda e: e.name):
            path = check_file(prefix + entry.name)
            if entry.is_dir(follow_symlinks=False) and path.split("/")[0] == "model":
                walk(Path(entry.path), path + "/")
            elif entry.is_file(follow_symlinks=False) and path not in _RESERVED:
                found.append(path)
            else:
                raise Rejected(f"{entry.path} may not be in a candidate: only model/ and regular files; remove it")

    with store_errors(str(folder)):
        walk(folder, "")
    if not any(path.startswith("model/") for path in found) or "golden.npz" not in found:
        raise Rejected(f"{folder} lacks model/ or golden.npz; run validate again, it writes both")
    return found


def publish(
    store: ModelStore,
    draft: Draft,
    folder: Path,
    signing_key: Path,
    *,
    signature: Signature | None = None,
    at: Callable[[str], None] = lambda point: None,
) -> ModelVersion:
    """Write `folder` (see `candidate_files`) as the next version of the model, and return that version.

    The same operation publishes once: again is a no-op that returns the same version, and Rejected if the files
    differ. signature: the tensors of config.pbtxt where sizes vary; else the golden requests show them.
    Raises Rejected when a file is not what validation served, Misconfigured for a bad key or a read-only store,
    TryAgain when the store is full or away. Nothing half-written is ever visible.
    """
    paths = candidate_files(folder)
    draft.manifest(1, {})  # refuse a bad draft before it takes a number
    if not signing_key.is_file():
        raise Misconfigured(f"the signing key {signing_key} does not exist; `slipway up` makes one, or mount yours")
    number = claim_number(store, draft.name, draft.operation_id)
    at("claimed")
    with store_errors(f"{draft.name}@{number} in {store.url}"), _destination(store, draft, number) as target:
        if number in store.versions(draft.name):
            return _already(store, draft, number, folder, paths)
        at("staged")
        files = {}
        for path in paths:
            with _open_source(folder / path) as source, _create(store, f"{target}/{_inside(path, number)}") as sink:
                files[_inside(path, number)] = copy_and_hash(source, sink)
        _refuse_unseen(draft, paths, files, number)
        at("copied")
        golden = load_golden(folder / "golden.npz")
        backend: Backend = "python" if "model/model.py" in paths else "onnxruntime"
        shape = signature or signature_of(golden)
        config = render_config(draft.name, number, shape, draft.spec.serving, backend, golden).encode()
        files["config.pbtxt"] = FileEntry(size=len(config), sha256=hashlib.sha256(config).hexdigest())
        manifest = render_manifest(draft.manifest(number, files))
        signed = signing.sign(manifest, signing_key)
        at("signed")
        store.fs.pipe_file(f"{target}/config.pbtxt", config)
        store.fs.pipe_file(f"{target}/manifest.sig", signed)
        if not create_exclusively(store, f"{target}/manifest.json", manifest):
            return _already(store, draft, number, folder, paths)
        at("written")
        if store.local:
            sync_tree(Path(target))
            at("synced")
            place(Path(target), Path(store.path(draft.name, str(number))))
        at("placed")
    return ModelVersion(draft.name, number, manifest_digest(manifest))


@contextmanager
def _destination(store: ModelStore, draft: Draft, number: int) -> Iterator[str]:
    if not store.local:
        # The seam for s3 and gs: no rename there, so files go to their final place and the manifest, created
        # exclusively and last, makes them a version.
        yield store.path(draft.name, str(number))
        return
    name = hashlib.sha256(draft.operation_id.encode()).hexdigest()[:32]
    with staged(Path(store.path(".staging")), name) as folder:
        yield str(folder)


def _inside(path: str, number: int) -> str:
    return f"{number}/{path.removeprefix('model/')}" if path.startswith("model/") else path


@contextmanager
def _open_source(path: Path) -> Iterator[Any]:
    # O_NOFOLLOW and fstat: what was a regular file a moment ago may be a link or a pipe now.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Rejected(f"{path} is not a regular file; remove it from the candidate")
        yield file


def _create(store: ModelStore, path: str) -> Any:
    if not store.local:
        return store.fs.open(path, "wb")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return open(path, "xb", buffering=0)


def _refuse_unseen(draft: Draft, paths: list[str], files: dict[str, FileEntry], number: int) -> None:
    """Only what the serving gate served is published: every file under model/, and whatever else it has seen."""
    seen = draft.validation.files
    for path in sorted({path for path in paths if path.startswith("model/")} | set(seen)):
        if path not in seen:
            raise Rejected(f"{path} of the candidate was never served by validation; validate again")
        if files.get(_inside(path, number)) != seen[path]:
            raise Rejected(f"{path} of the candidate is not the file that validation served; validate again")


def _already(store: ModelStore, draft: Draft, number: int, folder: Path, paths: list[str]) -> ModelVersion:
    """The version that this operation published before; raises Rejected if it would be another one now."""
    old = store.manifest(draft.name, number)
    files = {}
    for path in paths:
        with _open_source(folder / path) as source:
            files[_inside(path, number)] = copy_and_hash(source)
    files["config.pbtxt"] = old.files["config.pbtxt"]  # follows from the others
    if draft.manifest(number, files).model_copy(update={"created": old.created}) != old:
        raise Rejected(
            f"{draft.name}@{number} was published by {draft.operation_id} with other content; "
            "a version never changes, so start a new run"
        )
    return store.version(draft.name, number)
