"""How is an archive from outside unpacked so that it can neither escape, nor link, nor explode?"""

from __future__ import annotations

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from slipway.errors import Rejected

__all__ = ["ARCHIVES", "MAX_FILES", "safe_path", "unpack"]

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MAX_FILES = 5_000_000
MAX_RATIO = 200  # unpacked bytes for each packed one; text packs to a twentieth, zeros to a thousandth
_SLACK = 64 << 20  # bytes that any archive may unpack to
_CHUNK = 1 << 20


def safe_path(text: str, where: str) -> PurePosixPath:
    """`text` as a path below a folder; raises Rejected for one that could lead out of it."""
    path = PurePosixPath(text)
    bad = path.is_absolute() or ".." in path.parts or "\\" in text or "\0" in text or len(text) > 1000
    if bad or not path.parts or not text.isprintable():
        raise Rejected(f"{where}: the name {text[:120]!r} could lead out of its folder; pack it again with plain names")
    return path


def unpack(where: str, archive: Path, folder: Path, *, max_bytes: int, max_files: int = MAX_FILES) -> None:
    """Write the files of a tar or zip `archive` into the empty `folder`; `where` begins each message.

    Raises Rejected for what is no archive, is damaged or encrypted, holds anything but files and folders, leads out
    of `folder`, or unpacks to more than `max_bytes`, `MAX_RATIO` times its size, or `max_files`.
    """
    name = archive.name
    limit = min(max_bytes, archive.stat().st_size * MAX_RATIO + _SLACK)
    total = count = 0
    try:
        for text, source in _members(archive, f"{where}: {name}"):
            count += 1
            if count > max_files:
                raise Rejected(f"{where}: {name} holds more than {max_files} files; pack fewer, larger ones")
            target = folder / safe_path(text, f"{where}: {name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            with source, target.open("xb") as sink:
                while chunk := source.read(_CHUNK):
                    total += len(chunk)
                    # The size in an archive's header may lie; what comes out cannot.
                    if total > limit:
                        raise Rejected(
                            f"{where}: {name} unpacks to more than {limit} bytes; raise max_size if that is meant"
                        )
                    sink.write(chunk)
    except FileExistsError as error:
        raise Rejected(f"{where}: {name} holds {Path(str(error.filename)).name} twice; pack it again") from None
    except (NotADirectoryError, IsADirectoryError):
        raise Rejected(f"{where}: {name} has a file and a folder of one name; pack it again") from None
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
        raise Rejected(f"{where}: {name} is truncated or damaged ({_line(error)}); fetch a whole one") from None
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or an unknown compression
        raise Rejected(f"{where}: {name} cannot be read ({str(error)[:120]}); pack it without a password") from None
    if count == 0:
        raise Rejected(f"{where}: {name} is an empty archive; look at the url")


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def _members(archive: Path, where: str) -> Iterator[tuple[str, IO[bytes]]]:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as packed:
            for entry in packed.infolist():
                kind = stat.S_IFMT(entry.external_attr >> 16)
                if entry.is_dir():
                    continue
                if kind not in (0, stat.S_IFREG):
                    raise Rejected(f"{where}: {entry.filename[:120]!r} is a link or a device; pack plain files only")
                yield entry.filename, packed.open(entry)
        return
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            if member.isdir():
                continue
            if not member.isreg():
                raise Rejected(f"{where}: {member.name[:120]!r} is a link or a device; pack plain files only")
            source = tar.extractfile(member)
            assert source is not None
            yield member.name, source
