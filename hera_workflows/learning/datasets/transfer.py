"""How do the bytes of a URL get to this disk: on from where they stopped, within limits, and hashed?"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from hera_workflows.learning.datasets.meter import Meter
from hera_workflows.learning.datasets.unpack import MAX_FILES, safe_path
from slipway.errors import Misconfigured, Rejected, TryAgain

__all__ = ["STALL_SECONDS", "Got", "Limits", "copy_on", "transfer"]

STALL_SECONDS = 60.0
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a transfer may do."""

    max_bytes: int
    stall: float  # seconds without a byte
    redirects: frozenset[str]  # hosts beside the URL's own


@dataclass(frozen=True, slots=True)
class Got:
    """What arrived, at `path`: a file under its own name, or a folder."""

    path: Path
    digest: str  # "sha256:…" of the file, or of a folder's list of files
    size: int  # bytes
    resumed: bool  # a part of it was there from before


def transfer(where: str, url: str, folder: Path, limits: Limits) -> Got:
    """Bring the file or folder at `url` into `folder`, where a part of it may lie already.

    Raises TryAgain when the other side is away, stalls or breaks off; Rejected when it refuses, is too large or
    leads elsewhere; Misconfigured when the scheme is unknown here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if urlsplit(url).scheme in ("http", "https"):
        from hera_workflows.learning.datasets.web import download

        target = folder / _name(url)
        resumed = download(where, url, target, limits)
        return Got(target, hash_file(target), target.stat().st_size, resumed)
    return _from_file_system(where, url, folder, limits)


def _from_file_system(where: str, url: str, folder: Path, limits: Limits) -> Got:
    import fsspec

    from triton_repo.store_errors import driver_errors

    try:
        files, root = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise Misconfigured(f"{where}: {url}: {error}; install what reads it, or use another scheme") from None
    try:
        with driver_errors(f"{where}: {url}", "the url"):
            info = files.info(root)
            if info["type"] == "directory":
                return _folder(where, url, files, root, folder / "folder", limits)
            target = folder / _name(url)
            resumed = _one(where, files, info, target, Meter(where, info["size"]), limits)
            return Got(target, hash_file(target), target.stat().st_size, resumed)
    except FileNotFoundError:
        raise Rejected(f"{where}: there is nothing at {url}; correct the url") from None
    except PermissionError as error:
        raise Rejected(
            f"{where}: {url} may not be read ({error}); give the pod the right, or correct the url"
        ) from None
    except ValueError as error:  # what a driver says of a setting only once it connects
        raise Misconfigured(f"{where}: {url}: {error}; correct the url or the AWS_ settings") from None


def _folder(where: str, url: str, files: Any, root: str, target: Path, limits: Limits) -> Got:
    listed = sorted(_listing(where, files, root), key=lambda item: item[0])
    if not listed:
        raise Rejected(f"{where}: the folder {url} is empty; correct the url")
    meter, resumed = Meter(where, sum(info["size"] for _, info in listed)), False
    if meter.total is not None and meter.total > limits.max_bytes:
        raise _too_large(where, limits)
    wanted = {text for text, _ in listed}
    for path in [path for path in target.rglob("*") if path.is_file()]:
        if path.relative_to(target).as_posix().removesuffix(".part") not in wanted:
            path.unlink()  # it went away since
    total, size = hashlib.sha256(), 0
    for text, info in listed:
        path = target / safe_path(text, f"{where}: {url}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.stat().st_size == info["size"]:
            resumed = True
            meter.skip(info["size"])
        else:
            part = path.with_name(f"{path.name}.part")
            resumed |= _one(where, files, info, part, meter, limits)
            part.replace(path)
        length = path.stat().st_size
        size += length
        total.update(f"{text}\0{length}\0{hash_file(path)}\n".encode())
    meter.end()
    return Got(target, f"sha256:{total.hexdigest()}", size, resumed)


def _listing(where: str, files: Any, root: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path below root, info) of every file; links are refused, since they may lead anywhere."""
    count = 0
    for parent, folders, names in files.walk(root, detail=True):
        for info in [*folders.values(), *names.values()]:
            if info.get("islink"):
                raise Rejected(f"{where}: {info['name'][:200]} is a link; put the file itself there")
        for name, info in names.items():
            count += 1
            if count > MAX_FILES:
                raise Rejected(f"{where}: more than {MAX_FILES} files in {root[:200]}; pack them into an archive")
            if info["type"] != "file":
                raise Rejected(f"{where}: {info['name'][:200]} is neither file nor folder; remove it there")
            yield f"{parent}/{name}".removeprefix(root.rstrip("/") + "/"), info


def _one(where: str, files: Any, info: dict[str, Any], target: Path, meter: Meter, limits: Limits) -> bool:
    begin = target.stat().st_size if target.exists() else 0
    if info["size"] is not None and begin > info["size"]:
        begin = 0
    with files.open(info["name"], "rb") as source:
        source.seek(begin)
        copy_on(where, source.read, target, begin, meter, limits)
    if info["size"] is not None and target.stat().st_size != info["size"]:
        target.unlink()
        raise TryAgain(f"{where}: {info['name'][:200]} changed while it was read; run it again when it is at rest")
    return begin > 0


def copy_on(where: str, read: Callable[[int], bytes], target: Path, begin: int, meter: Meter, limits: Limits) -> None:
    """Append what `read` gives to the first `begin` bytes of `target`, up to the size limit."""
    meter.skip(begin)
    with target.open("r+b" if begin else "wb") as sink:
        sink.seek(begin)
        sink.truncate()
        while chunk := read(_CHUNK):
            if meter.done + len(chunk) > limits.max_bytes:
                sink.close()
                target.unlink()
                raise _too_large(where, limits)
            sink.write(chunk)
            meter.add(len(chunk))
        sink.flush()
        os.fsync(sink.fileno())


def _too_large(where: str, limits: Limits) -> Rejected:
    return Rejected(f"{where}: more than {limits.max_bytes} bytes; raise max_size in model.yaml if that is meant")


def hash_file(path: Path) -> str:
    """`sha256:…` of a file's bytes."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _name(url: str) -> str:
    """The file's name in the URL, made safe; its ending says whether it is an archive."""
    last = unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2]
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in last)[-100:].lstrip(".")
    return kept or "data"
