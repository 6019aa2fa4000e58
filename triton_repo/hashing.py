"""What are a file's size and sha256, at constant memory whatever its size?"""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

from slipway.manifest import FileEntry

__all__ = ["copy_and_hash", "entry_of"]

_PIECE = 4 << 20  # bytes; two of these are all the memory that a copy takes


def entry_of(content: bytes) -> FileEntry:
    """The size and sha256 of a small file."""
    return FileEntry(size=len(content), sha256=hashlib.sha256(content).hexdigest())


def copy_and_hash(source: BinaryIO, target: BinaryIO | None = None) -> FileEntry:
    """Read source to its end, write it to target if there is one, and return its size and sha256.

    Hashing runs beside reading and writing (all three release the interpreter), so a copy costs what its slowest
    part costs. Raises OSError.
    """
    digest, size, turn = hashlib.sha256(), 0, 0
    pieces = (bytearray(_PIECE), bytearray(_PIECE))
    hashed: Future[None] | None = None
    with ThreadPoolExecutor(1) as hasher:
        while count := source.readinto(pieces[turn]):  # type: ignore[attr-defined]
            piece = memoryview(pieces[turn])[:count]
            if hashed is not None:
                hashed.result()  # the other piece is free again
            hashed = hasher.submit(digest.update, piece)
            if target is not None:
                _write(target, piece)
            size, turn = size + count, 1 - turn
    return FileEntry(size=size, sha256=digest.hexdigest())


def _write(target: BinaryIO, piece: memoryview) -> None:
    # An unbuffered file may take less than it was offered, for instance when the disk is nearly full.
    while piece:
        piece = piece[target.write(piece) :]
