"""Hand a commit to a repository that is a folder, as `git push` does, without packing it once more.

`git push` to a folder starts six processes, and all writers wait for them one after another. What it says to
`git receive-pack` is little, and that is what runs the repository's hooks, checks the objects and moves the refs, all
or none: so it is said directly, with the pack that fast-import wrote. Source: gitprotocol-pack(5), "Pushing data".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from gitops.git import Git, Result

__all__ = ["deliver", "written_pack"]

_HEADER = b"PACK\0\0\0\x02\0\0\0\0"
_EMPTY_PACK = _HEADER + hashlib.sha1(_HEADER, usedforsecurity=False).digest()
_NOTHING = "0" * 40
_FLUSH = b"0000"


def deliver(repository: Git, moves: Mapping[str, tuple[str | None, str | None]], pack: bytes) -> Result:
    """Move refs, all or none, as Remote.push says; `pack` has every object that the repository lacks.

    The status is git push's: 0 when all moved, 1 when the repository refused, 128 when its answer is not complete.
    """
    capabilities = "\0report-status atomic"
    request = b""
    for ref, (old, new) in moves.items():
        request += _packet(f"{old or _NOTHING} {new or _NOTHING} {ref}{capabilities}")
        capabilities = ""
    # A pack follows unless refs are only removed.
    if any(new for _, new in moves.values()):
        request += _FLUSH + pack
    else:
        request += _FLUSH
    answer = repository.receive(request)
    told = list(_report(answer.out))
    refused = [line for line in told if line.startswith("ng ") or (line.startswith("unpack ") and line != "unpack ok")]
    if refused:
        return Result(1, answer.out, "; ".join([*refused[:1], answer.reason])[:300])
    complete = answer.status == 0 and told == ["unpack ok", *(f"ok {ref}" for ref in moves)]
    return Result(0 if complete else 128, answer.out, answer.reason)


def written_pack(folder: Path) -> bytes:
    """The one pack that fast-import wrote into a git directory; the empty one if it had nothing to write."""
    packs = [path.read_bytes() for path in (folder / "objects" / "pack").glob("*.pack")]
    assert len(packs) <= 1, "every delivery begins with a repository without objects of its own"
    return packs[0] if packs else _EMPTY_PACK


def _packet(text: str) -> bytes:
    content = text.encode()
    return b"%04x" % (len(content) + 4) + content


def _report(out: bytes) -> Iterator[str]:
    """The lines after the list of refs, with which receive-pack begins."""
    at, lists = 0, 0
    while (size := _size(out[at : at + 4])) is not None:
        if size == 0:
            lists += 1
        elif lists == 1:
            yield out[at + 4 : at + size].decode(errors="replace").rstrip("\n")
        at += max(size, 4)


def _size(head: bytes) -> int | None:
    try:
        size = int(head, 16)
    except ValueError:
        return None
    return size if size == 0 or size >= 4 else None
