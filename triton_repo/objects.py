"""How does a version come into, and leave, a store without renames, so that half of it is never a version?

What a version will be is settled before its first byte is sent: `.numbers/<model>/<number>.settled` holds its manifest
and signature, created exclusively and kept. Whoever publishes that number from then on, after a kill or at the same
moment, sends the same bytes to the same places. The manifest comes last and makes it a version; it is the first to go.
"""

from __future__ import annotations

import contextlib
import json
import re
from datetime import datetime, timedelta
from typing import BinaryIO

from slipway.errors import Rejected, TryAgain
from slipway.manifest import FileEntry
from slipway.names import NUMBER
from triton_repo.hashing import copy_and_hash
from triton_repo.numbers import create_exclusively
from triton_repo.store import BLOCK, ModelStore

__all__ = ["STALE", "complete", "remove", "settle", "sweep", "upload"]

# Nobody publishes for that long: the publish step is stopped after hours.
STALE = timedelta(days=1)
_PARTS = 9000  # S3 takes 10,000 to a file


def settle(store: ModelStore, model: str, number: int, manifest: bytes, signature: bytes) -> tuple[bytes, bytes]:
    """The manifest and signature that this number will have: those given, or those that were settled before."""
    path = store.path(".numbers", model, f"{number}.settled")
    ours = json.dumps({"manifest": manifest.decode(), "signature": signature.decode()}).encode()
    create_exclusively(store, path, ours)
    # Read back in any case: an answer that got lost makes our own file look like somebody else's.
    settled = json.loads(store.fs.cat_file(path))
    return settled["manifest"].encode(), settled["signature"].encode()


def upload(store: ModelStore, source: BinaryIO, path: str, expected: FileEntry) -> None:
    """Send one file; it appears whole and only if it is the expected one, else raises Rejected."""
    block = max(BLOCK, expected.size // _PARTS)
    sink = store.fs.open(path, "wb", block_size=block, autocommit=False)
    try:
        found = copy_and_hash(source, sink)
        sink.close()
        if found != expected:
            raise Rejected(f"{path}: the candidate's file changed while it was being published; start a new run")
    except BaseException:
        with contextlib.suppress(OSError):
            sink.discard()
        raise
    sink.commit()


def complete(store: ModelStore, model: str, number: int, files: dict[str, FileEntry], manifest: bytes) -> None:
    """Make what was uploaded a version; raises TryAgain when a sweep took some of it away meanwhile."""
    if absent := set(files) - set(store.files(model, number)):
        raise TryAgain(f"{model}@{number} in {store.url}: {min(absent)} is gone again; run this again")
    create_exclusively(store, store.path(model, str(number), "manifest.json"), manifest)


def remove(store: ModelStore, model: str, number: int) -> None:
    """Remove whatever lies under this number, the manifest first; nothing there is fine."""
    base = store.path(model, str(number)) + "/"
    for path in sorted(store.fs.find(base), key=lambda path: path != f"{base}manifest.json"):
        with contextlib.suppress(FileNotFoundError):
            store.fs.rm_file(path)


def sweep(store: ModelStore, now: datetime) -> list[str]:
    """Remove what is no version and was last written to more than STALE ago; returns what was removed.

    Uploads that were begun and never completed are no files yet; a bucket bills for them all the same.
    """
    removed = []
    for model in store.folders():
        whole = {str(number) for number in store.versions(model)}
        for name in (name for name in store.names(model) if re.fullmatch(NUMBER, name) and name not in whole):
            paths = store.fs.find(store.path(model, name) + "/")
            if paths and all(now - store.fs.modified(path) > STALE for path in paths):
                remove(store, model, int(name))
                removed.append(f"{model}/{name}")
    return removed + (_abort_uploads(store, now) if store.url.startswith("s3://") else [])


def _abort_uploads(store: ModelStore, now: datetime) -> list[str]:
    bucket, _, prefix = store.root.partition("/")
    prefix = prefix and prefix.rstrip("/") + "/"
    listed = store.fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix)
    aborted = []
    for upload in listed.get("Uploads", []):
        path = upload["Key"].removeprefix(prefix)
        if now - upload["Initiated"] > STALE and _settled(store, path):
            store.fs.abort_mpu(bucket, upload["Key"], upload["UploadId"])
            aborted.append(path)
    return aborted


def _settled(store: ModelStore, path: str) -> bool:
    """Whether a path in the store belongs to a version: others may upload to the same bucket."""
    model, _, rest = path.partition("/")
    number, _, file = rest.partition("/")
    return file != "" and bool(store.fs.exists(store.path(".numbers", model, f"{number}.settled")))
