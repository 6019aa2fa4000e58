"""Where do versions lie, and how are they read?

A store is a folder, or a bucket given as s3://bucket/prefix; fsspec is underneath, so file:// and memory:// are stores
too. `<store>/<model>/<number>/` is one version (see `triton_repo.bundle`); `.staging/` and `.numbers/` beside them
belong to publish.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, BinaryIO, cast

from slipway.errors import Misconfigured, Rejected
from slipway.manifest import Manifest, manifest_digest, parse_manifest
from slipway.names import MODEL, NUMBER, check_model, check_number
from slipway.version import ModelVersion
from triton_repo.store_errors import store_errors

__all__ = ["BLOCK", "ModelStore", "check_file", "find", "open_store"]

BLOCK = 16 << 20  # bytes that one request to a bucket moves

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}", re.ASCII)
_MANIFEST = re.compile(r"([1-9][0-9]{0,17})/manifest\.json", re.ASCII)
# A server that is down is reported in seconds, one that does not answer in two minutes; the workflow's retry goes on
# from there. Half a minute each, because a server may join a large file's parts before it says anything.
_S3 = {
    "use_listings_cache": False,
    "skip_instance_cache": True,  # a client keeps the environment that it was made in
    "config_kwargs": {"read_timeout": 30, "retries": {"mode": "standard", "total_max_attempts": 2}},
}
_S3_RETRIES = 2


def check_file(path: str) -> str:
    """Return path if it is a relative POSIX path of plain names (no `..`, no hidden file); else raise Rejected."""
    parts = path.split("/")
    if len(parts) > 8 or not all(_PART.fullmatch(part) for part in parts):
        raise Rejected(f"{path[:120]!r} is not a file's path inside a version; use letters, digits and ._+- in names")
    return path


class ModelStore:
    """Read access to every published version; a folder without a manifest is not a version.

    Raises Rejected for a version that does not exist or is not what it says, TryAgain when the store does not answer.
    """

    def __init__(self, url: str, fs: Any, root: str, local: bool) -> None:
        self.url = url
        self.fs = fs  # fsspec.AbstractFileSystem
        self.root = root
        self.local = local

    def path(self, *parts: str) -> str:
        """The path inside `fs` of something in the store."""
        return "/".join((self.root.rstrip("/"), *parts))

    def names(self, *parts: str) -> list[str]:
        """The names in one folder of the store, sorted; none when it does not exist."""
        with store_errors(self.url):
            try:
                listed = self.fs.ls(self.path(*parts), detail=False, refresh=True)
            except FileNotFoundError as error:
                if error.__cause__ is not None:
                    raise  # a server's own answer: the bucket is not there
                return []
        return sorted(str(name).rstrip("/").rsplit("/", 1)[-1] for name in listed)

    def folders(self) -> list[str]:
        """What has a model's name, with or without a version, sorted; a disk's own lost+found has none."""
        return [name for name in self.names() if re.fullmatch(MODEL, name, re.ASCII)]

    def models(self) -> list[str]:
        """The models that have at least one version, sorted."""
        return [name for name in self.folders() if self.versions(name)]

    def versions(self, model: str) -> list[int]:
        """The version numbers of one model, ascending; none for an unknown model."""
        base = self.path(check_model(model)) + "/"
        with store_errors(self.url):
            # One listing: a question for each version would cost a bucket's round trip each.
            found = (_MANIFEST.fullmatch(str(path).removeprefix(base)) for path in self.fs.find(base))
            return sorted(int(match[1]) for match in found if match)

    def next_number(self, model: str) -> int:
        """The number that the next version would get; publish claims it, so two publishers never share one."""
        claimed = [int(name) for name in self.names(".numbers", check_model(model)) if re.fullmatch(NUMBER, name)]
        return max([0, *claimed, *self.versions(model)]) + 1

    def manifest_bytes(self, model: str, number: int) -> bytes:
        """The bytes that the version's digest is over."""
        return self.read(model, number, "manifest.json")

    def manifest(self, model: str, number: int) -> Manifest:
        """What is known of one version; raises Rejected when it stands under another name or number than its own."""
        return self._parse(self.manifest_bytes(model, number), model, number)

    def version(self, model: str, number: int) -> ModelVersion:
        """The version that the store holds under this number, with the digest of its manifest's bytes."""
        return ModelVersion(model, number, manifest_digest(self.manifest_bytes(model, number)))

    def pinned(self, version: ModelVersion) -> tuple[Manifest, bytes]:
        """A version's manifest and the bytes of it; raises Rejected when the digest is not the version's."""
        # Read once: between two reads somebody could exchange the file.
        content = self.manifest_bytes(version.name, version.number)
        if (found := manifest_digest(content)) != version.digest:
            raise Rejected(
                f"{version} in {self.url} has digest {found}, not {version.digest}; "
                "the store or the release was changed by hand"
            )
        return self._parse(content, version.name, version.number), content

    def holds(self, version: ModelVersion) -> bool:
        """Whether it has exactly that version; gc removes those that nothing needed for long."""
        try:
            self.pinned(version)
        except Rejected:
            return False
        return True

    def _parse(self, content: bytes, model: str, number: int) -> Manifest:
        where = f"{model}@{number} in {self.url}"
        manifest = parse_manifest(content, where)
        if (manifest.name, manifest.number) != (model, number):
            raise Rejected(
                f"{where} says that it is {manifest.name}@{manifest.number}; it was moved by hand, publish it again"
            )
        return manifest

    def read(self, model: str, number: int, path: str) -> bytes:
        """The whole content of one small file of a version."""
        with store_errors(f"{model}@{number} in {self.url}"):
            return cast(bytes, self.fs.cat_file(self._file(model, number, path)))

    def open(self, model: str, number: int, path: str) -> BinaryIO:
        """One file of a version, to be read in pieces."""
        with store_errors(f"{model}@{number} in {self.url}"):
            return cast(BinaryIO, self.fs.open(self._file(model, number, path), "rb", block_size=BLOCK))

    def _file(self, model: str, number: int, path: str) -> str:
        return self.path(check_model(model), str(check_number(number)), check_file(path))

    def files(self, model: str, number: int) -> list[str]:
        """Every file that lies in a version's folder, listed in its manifest or not, sorted."""
        base = self.path(check_model(model), str(check_number(number))) + "/"
        with store_errors(f"{model}@{number} in {self.url}"):
            return sorted(str(name).removeprefix(base) for name in self.fs.find(base))

    def local_path(self, model: str, number: int) -> Path | None:
        """The version's folder on this machine; None when the store is elsewhere."""
        return Path(self.path(check_model(model), str(check_number(number)))) if self.local else None


def open_store(url: str) -> ModelStore:
    """The store at a folder's path, s3://bucket/prefix, file://… or memory://…; asks no server yet.

    A bucket's credentials and address come from the environment alone (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
    AWS_ENDPOINT_URL, AWS_DEFAULT_REGION). Raises Misconfigured when there is no such folder or no driver.
    """
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    bucket = url.startswith("s3://")
    if "://" in url and "@" in url:
        raise Misconfigured("MODEL_STORE holds credentials, which would be logged; leave them to AWS_ACCESS_KEY_ID")
    try:
        fs, root = fsspec.core.url_to_fs(url, **(_S3 if bucket else {}))
        if bucket:
            fs.retries = _S3_RETRIES
            with store_errors(url):
                fs.connect()  # makes a client, which reads the environment; sends nothing
    except (ValueError, ImportError) as error:
        raise Misconfigured(f"MODEL_STORE {url!r} cannot be used ({error}); give a folder or s3://bucket") from None
    local = isinstance(fs, LocalFileSystem)
    if local and not Path(root).is_dir():
        raise Misconfigured(f"MODEL_STORE {root} is not a folder; create it, or point MODEL_STORE at the right one")
    return ModelStore(url, fs, root, local)


def find(store: ModelStore, model: str, number: int, digest: str) -> Manifest:
    """The manifest of exactly that version; raises Rejected when the store holds other bytes under the number."""
    return store.pinned(ModelVersion(model, number, digest))[0]
