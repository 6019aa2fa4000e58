"""Is the declared content in the cache, and if not, how does it get there whole or not at all?"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from hera_workflows.learning.datasets.transfer import STALL_SECONDS, Limits, transfer
from hera_workflows.learning.datasets.unpack import ARCHIVES, unpack
from slipway.errors import Rejected, TryAgain
from slipway.quantity import parse_quantity
from slipway.spec import DataSource

__all__ = ["Fetched", "fetch"]


class Fetched(BaseModel):
    """One data set on disk; crosses to the process that runs people's code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    format: str
    digest: str
    size: int  # bytes, as fetched
    path: Path  # the one file, or the folder
    skip: list[str] = []


def fetch(name: str, source: DataSource, beside: Path, cache: Path, *, stall: float = STALL_SECONDS) -> Fetched:
    """The data set `name`, from the cache or else from its URL; `stall`: seconds without progress that are borne.

    Raises as `fetch_sets`. Killed at any point, the next call goes on; the cache never shows a part of anything.
    """
    where = f"data.{name}"
    inside = _inside(source.url)
    if source.digest is not None and (entry := _cached(cache, source.digest)) is not None:
        return _fetched(source, *entry)
    url = str(_beside(where, source.url, beside)) if inside else source.url
    with _alone(cache, url):
        if source.digest is not None and (entry := _cached(cache, source.digest)) is not None:
            return _fetched(source, *entry)
        try:
            digest, path = _bring(where, source, url, cache, stall)
        except OSError as error:
            raise TryAgain(f"{where}: {error.strerror or error}; see that the cache {cache} has room") from None
        if source.digest is None and not inside:
            raise Rejected(
                f"{where} has no digest, so nobody could tell when {source.url} changes; what lies there now has "
                f"{digest}: write `digest: {digest}` below it in model.yaml"
            )
        return _fetched(source, digest, *path)


def _fetched(source: DataSource, digest: str, path: Path, size: int) -> Fetched:
    return Fetched(url=source.url, format=source.format, digest=digest, size=size, path=path, skip=source.skip)


def _inside(url: str) -> bool:
    return "://" not in url and not url.startswith("/")


def _beside(where: str, url: str, beside: Path) -> Path:
    path = (beside / url).resolve()
    if not path.is_relative_to(beside.resolve()):
        raise Rejected(f"{where}: {url} leads out of the model's folder; give a URL, or put the file beside model.yaml")
    return path


def _bring(where: str, source: DataSource, url: str, cache: Path, stall: float) -> tuple[str, tuple[Path, int]]:
    """Fetch, compare, unpack, and show it in the cache by one rename."""
    partial = cache / ".partial" / _key(url)
    limits = Limits(int(parse_quantity(source.max_size)), stall, frozenset(source.redirects))
    got = transfer(where, url, partial / "raw", limits)
    if source.digest is not None and got.digest != source.digest and got.resumed:
        # What was there from before may be of another content: only a whole reading can tell.
        shutil.rmtree(partial)
        got = transfer(where, url, partial / "raw", limits)
    if source.digest is not None and got.digest != source.digest:
        shutil.rmtree(partial)
        raise Rejected(
            f"{where}: {source.url} has {got.digest}, model.yaml says {source.digest}; "
            "look why it changed, then correct the digest or the url"
        )
    staging = partial / "entry"
    shutil.rmtree(staging, ignore_errors=True)
    content = staging / "content"
    content.mkdir(parents=True)
    if got.path.is_dir():
        for child in got.path.iterdir():
            child.rename(content / child.name)
    elif got.path.name.lower().endswith(ARCHIVES):
        try:
            unpack(where, got.path, content, max_bytes=limits.max_bytes)
        except Rejected:
            shutil.rmtree(partial)
            raise
    else:
        got.path.rename(content / got.path.name)
    (staging / "size").write_text(str(got.size))
    final = cache / got.digest.removeprefix("sha256:")
    try:
        staging.rename(final)
    except OSError as error:
        # The same content under another URL came first.
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    shutil.rmtree(partial)
    entry = _cached(cache, got.digest)
    assert entry is not None
    return got.digest, entry[1:]


def _cached(cache: Path, digest: str) -> tuple[str, Path, int] | None:
    folder = cache / digest.removeprefix("sha256:")
    try:
        size = int((folder / "size").read_text())
        os.utime(folder)  # what is used is not old: gc removes by age
        content = sorted((folder / "content").iterdir())
    except (OSError, ValueError):
        return None
    return digest, content[0] if len(content) == 1 and content[0].is_file() else folder / "content", size


def _key(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()


@contextlib.contextmanager
def _alone(cache: Path, url: str) -> Iterator[None]:
    """One process fetches a URL; the lock goes with the process, however it ends."""
    (cache / ".locks").mkdir(parents=True, exist_ok=True)
    with (cache / ".locks" / _key(url)).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
