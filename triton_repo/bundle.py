"""How does a validated candidate become an immutable, signed version in the store?

In a folder, files are copied and hashed in one pass next to their final place, everything is synced, and one rename
makes the version visible. A bucket has no rename: there the manifest, created exclusively and last, does (see
`triton_repo.objects`). A version is never overwritten. Every step may be killed and run again.
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

from slipway.errors import Misconfigured, Rejected, first_problem
from slipway.manifest import (
    DataSummary,
    FileEntry,
    Manifest,
    Validation,
    manifest_digest,
    parse_manifest,
    render_manifest,
)
from slipway.spec import ModelSpec
from slipway.version import ModelVersion
from triton_repo import objects, signing
from triton_repo.config import Signature, render_config, signature_of
from triton_repo.golden import load_golden
from triton_repo.hashing import copy_and_hash, entry_of
from triton_repo.numbers import claim_number
from triton_repo.runtime import Backend
from triton_repo.staging import place, staged, sync_tree
from triton_repo.store import ModelStore, check_file
from triton_repo.store_errors import store_errors

__all__ = ["BUCKET_POINTS", "POINTS", "Draft", "candidate_files", "publish"]

# Where a test may kill publish, in a folder and in a bucket; each is named for what has just been done.
POINTS = ("claimed", "staged", "copied", "signed", "written", "synced", "placed")
BUCKET_POINTS = ("claimed", "hashed", "signed", "settled", "uploaded", "written", "placed")
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
            raise Rejected(f"the manifest of {self.name[:80]!r} would be wrong: {first_problem(error)}") from None


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
    work = _Work(store, draft, number, folder, paths, signing_key, signature)
    with store_errors(f"{draft.name}@{number} in {store.url}"):
        return _into_folder(work, at) if store.local else _into_bucket(work, at)


@dataclass(frozen=True, slots=True)
class _Work:
    """One version that is being published."""

    store: ModelStore
    draft: Draft
    number: int
    folder: Path  # the candidate
    paths: list[str]  # its files
    key: Path
    signature: Signature | None

    def published(self) -> bool:
        return self.number in self.store.versions(self.draft.name)

    def seal(self, files: dict[str, FileEntry]) -> tuple[bytes, bytes, bytes]:
        """config.pbtxt, which joins `files`, then manifest.json and manifest.sig."""
        _refuse_unseen(self.draft, self.paths, files, self.number)
        golden = load_golden(self.folder / "golden.npz")
        backend: Backend = "python" if "model/model.py" in self.paths else "onnxruntime"
        shape = self.signature or signature_of(golden)
        config = render_config(self.draft.name, self.number, shape, self.draft.spec.serving, backend, golden).encode()
        files["config.pbtxt"] = entry_of(config)
        manifest = render_manifest(self.draft.manifest(self.number, files))
        return config, manifest, signing.sign(manifest, self.key)

    def hashed(self) -> dict[str, FileEntry]:
        """Every file of the candidate by its place in the bundle."""
        files = {}
        for path in self.paths:
            with _open_source(self.folder / path) as source:
                files[_inside(path, self.number)] = copy_and_hash(source)
        return files

    def version(self, old: Manifest, content: bytes, files: dict[str, FileEntry]) -> ModelVersion:
        """The version that the store has, or has settled on; raises Rejected if it would be another one now."""
        if self.draft.manifest(self.number, files).model_copy(update={"created": old.created}) != old:
            raise Rejected(
                f"{old.name}@{old.number} was published by {self.draft.operation_id} with other content; "
                "a version never changes, so start a new run"
            )
        return ModelVersion(old.name, old.number, manifest_digest(content))


def _into_folder(work: _Work, at: Callable[[str], None]) -> ModelVersion:
    store, name, number = work.store, work.draft.name, work.number
    own = hashlib.sha256(work.draft.operation_id.encode()).hexdigest()[:32]
    with staged(Path(store.path(".staging")), own) as target:
        if work.published():
            return _already(work)
        at("staged")
        files = {}
        for path in work.paths:
            place_in = target / _inside(path, number)
            place_in.parent.mkdir(parents=True, exist_ok=True)
            with _open_source(work.folder / path) as source, open(place_in, "xb", buffering=0) as sink:
                files[_inside(path, number)] = copy_and_hash(source, sink)
        at("copied")
        config, manifest, signed = work.seal(files)
        at("signed")
        for file, content in (("config.pbtxt", config), ("manifest.sig", signed), ("manifest.json", manifest)):
            (target / file).write_bytes(content)
        at("written")
        sync_tree(target)
        at("synced")
        place(target, Path(store.path(name, str(number))))
        at("placed")
    return ModelVersion(name, number, manifest_digest(manifest))


def _into_bucket(work: _Work, at: Callable[[str], None]) -> ModelVersion:
    store, name, number = work.store, work.draft.name, work.number
    if work.published():
        return _already(work)
    files = work.hashed()
    at("hashed")
    config, manifest, signed = work.seal(files)
    at("signed")
    manifest, signed = objects.settle(store, name, number, manifest, signed)
    version = work.version(parse_manifest(manifest), manifest, files)
    at("settled")
    for path in work.paths:
        inside = _inside(path, number)
        with _open_source(work.folder / path) as source:
            objects.upload(store, source, store.path(name, str(number), inside), files[inside])
    store.fs.pipe_file(store.path(name, str(number), "config.pbtxt"), config)
    at("uploaded")
    store.fs.pipe_file(store.path(name, str(number), "manifest.sig"), signed)
    at("written")
    objects.complete(store, name, number, files, manifest)
    at("placed")
    return version


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


def _refuse_unseen(draft: Draft, paths: list[str], files: dict[str, FileEntry], number: int) -> None:
    """Only what the serving gate served is published: every file under model/, and whatever else it has seen."""
    seen = draft.validation.files
    for path in sorted({path for path in paths if path.startswith("model/")} | set(seen)):
        if path not in seen:
            raise Rejected(f"{path} of the candidate was never served by validation; validate again")
        if files.get(_inside(path, number)) != seen[path]:
            raise Rejected(f"{path} of the candidate is not the file that validation served; validate again")


def _already(work: _Work) -> ModelVersion:
    content = work.store.manifest_bytes(work.draft.name, work.number)
    old = work.store.manifest(work.draft.name, work.number)
    # config.pbtxt follows from the others.
    return work.version(old, content, work.hashed() | {"config.pbtxt": old.files["config.pbtxt"]})
