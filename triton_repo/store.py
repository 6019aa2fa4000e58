"""Where do versions lie, and how are they read?

A store is a folder now; fsspec is underneath, so file:// and memory:// are stores too, and s3:// or gs:// will be
once their fsspec drivers are installed. `<store>/<model>/<number>/` is one version (see `triton_repo.bundle`);
`.staging/` and `.numbers/` beside the models belong to publish.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from slipway.errors import Misconfigured, Rejected, TryAgain
from slipway.manifest import Manifest, manifest_digest, parse_manifest
from slipway.names import check_model, check_number
from slipway.version import ModelVersion

__all__ = ["ModelStore", "check_file", "find", "open_store", "store_errors"]

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}", re.ASCII)
_NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.ENOTDIR)


def check_file(path: str) -> str:
    """Return path if it is a relative POSIX path of plain names (no `..`, no hidden file); else raise Rejected."""
    parts = path.split("/")
    if len(parts) > 8 or not all(_PART.fullmatch(part) for part in parts):
        raise Rejected(f"{path[:120]!r} is not a file's path inside a version; use letters, digits and ._+- in names")
    return path


@contextmanager
def store_errors(where: str) -> Iterator[None]:
    """Turn what the file system says into one of the three families; `where` is named in the message."""
    try:
        yield
    except FileNotFoundError as error:
        raise Rejected(f"{where}: {error.filename or error} does not exist; `slipway models` lists what does") from None
    except OSError as error:
        said = error.strerror or str(error) or type(error).__name__
        if error.errno in _FULL:
            raise TryAgain(f"{where}: {said}; make room, for instance with `slipway gc`, and run this again") from None
        if error.errno in _FORBIDDEN:
            raise Misconfigured(f"{where}: {said}; give this user the right to write there, or correct it") from None
        raise TryAgain(f"{where}: {said}; run this again when the store answers") from None


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
            except FileNotFoundError:
                return []
        return sorted(str(name).rstrip("/").rsplit("/", 1)[-1] for name in listed)

    def models(self) -> list[str]:
        """The models that have at least one version, sorted."""
        return [name for name in self.names() if not name.startswith(".") and self.versions(name)]

    def versions(self, model: str) -> list[int]:
        """The version numbers of one model, ascending; none for an unknown model."""
        numbers = (name for name in self.names(check_model(model)) if _NUMBER.fullmatch(name))
        return sorted(int(name) for name in numbers if self.fs.exists(self.path(model, name, "manifest.json")))

    def next_number(self, model: str) -> int:
        """The number that the next version would get; publish claims it, so two publishers never share one."""
        claimed = [int(name) for name in self.names(".numbers", check_model(model)) if _NUMBER.fullmatch(name)]
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
        with store_errors(f"{model}@{number} in {self.url}"), self.open(model, number, path) as file:
            return file.read()

    def open(self, model: str, number: int, path: str) -> BinaryIO:
        """One file of a version, to be read in pieces."""
        check_model(model), check_number(number), check_file(path)
        with store_errors(f"{model}@{number} in {self.url}"):
            return cast(BinaryIO, self.fs.open(self.path(model, str(number), path), "rb"))

    def files(self, model: str, number: int) -> list[str]:
        """Every file that lies in a version's folder, listed in its manifest or not, sorted."""
        base = self.path(check_model(model), str(check_number(number))) + "/"
        with store_errors(f"{model}@{number} in {self.url}"):
            return sorted(str(name).removeprefix(base) for name in self.fs.find(base))

    def local_path(self, model: str, number: int) -> Path | None:
        """The version's folder on this machine; None when the store is elsewhere."""
        return Path(self.path(check_model(model), str(check_number(number)))) if self.local else None


def open_store(url: str) -> ModelStore:
    """The store at a folder's path, file://… or memory://…; raises Misconfigured when there is none."""
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    try:
        fs, root = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise Misconfigured(f"MODEL_STORE {url!r} cannot be used ({error}); give a folder's path") from None
    local = isinstance(fs, LocalFileSystem)
    if local and not Path(root).is_dir():
        raise Misconfigured(f"MODEL_STORE {root} is not a folder; create it, or point MODEL_STORE at the right one")
    return ModelStore(url, fs, root, local)


def find(store: ModelStore, model: str, number: int, digest: str) -> Manifest:
    """The manifest of exactly that version; raises Rejected when the store holds other bytes under the number."""
    return store.pinned(ModelVersion(model, number, digest))[0]
