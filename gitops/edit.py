"""Change a few files on main in one commit, whoever else writes: read, decide, push with a lease, or begin again.

Nothing is ever rebased: a lost race means that the decision is made again on what is there now.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from gitops.remote import MAIN, Remote, opened
from gitops.tree import list_files, read_blobs
from slipway.errors import Misconfigured, Rejected, SlipwayError, TryAgain
from slipway.operation import Operation, parse_message

__all__ = ["POINTS", "Done", "Edit", "Tip", "edit", "find_operation"]

# Where a test may kill the process, in order.
POINTS = ("opened", "read", "decided", "built", "pushed")
# Commits in which a writer looks for what an earlier process of the same operation may have left.
LOOK_BACK = 500
IDENTITY = "slipway <slipway@localhost>"


@dataclass(frozen=True, slots=True)
class Tip:
    """What a change is computed from: main as it is now."""

    commit: str | None  # None: the repository has no main yet
    files: Mapping[str, bytes]  # every file at or below the paths that were asked for
    branches: Mapping[str, str] = field(default_factory=dict)  # full ref -> commit, below the prefix asked for


@dataclass(frozen=True, slots=True)
class Edit:
    """One commit to make."""

    files: Mapping[str, bytes | None]  # path -> new content; None removes the file
    message: str
    merges: str | None = None  # a second parent
    base: str | None = None  # the commit to build on, when it is not main's
    moves: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)  # refs that move with it
    branch: str = MAIN


@dataclass(frozen=True, slots=True)
class Done:
    """Where an edit ended: the commit that holds it, and whether this call made it."""

    commit: str
    created: bool
    reason: str = ""  # why nothing was made


class _LostRace(Exception):
    """Somebody else's commit came first."""


def edit(
    url: str,
    change: Callable[[Tip], Edit | Done],
    *,
    operation_id: str,
    reads: Sequence[str],
    branches: str | None = None,
    at: Callable[[str], None] = lambda point: None,
    attempts: int = 200,
    seconds: float = 300.0,
) -> Done:
    """Apply `change` to main until it lands; a second call with the same operation finds the first one's commit.

    change: pure; gets main's files at or below `reads`, answers with a commit to make or with why there is none.
    branches: a ref prefix ending with / whose refs the change also sees.
    Raises what `change` raises, TryAgain after `attempts` lost races or `seconds`, Misconfigured if the server refuses.
    """
    import stamina

    seen: set[str] = set()
    tried: set[str] = set()
    last: dict[str, str] | None = None
    refused = 0
    with opened(url) as remote:
        at("opened")
        try:
            for attempt in stamina.retry_context(
                on=_LostRace, attempts=attempts, timeout=seconds, wait_initial=0.01, wait_max=2.0, wait_jitter=0.2
            ):
                with attempt, remote.turn():
                    found = remote.branches(MAIN, *([branches] if branches else []), depth=LOOK_BACK)
                    main = found.get(MAIN)
                    if main is not None:
                        earlier = find_operation(remote, lambda o: o.id == operation_id, main, seen)
                        if earlier is not None:
                            return Done(earlier, created=earlier in tried, reason="this operation is already recorded")
                        seen.add(main)
                    refused, last = (refused + 1 if found == last else 0), found
                    tip = _read(remote, main, reads, {r: c for r, c in found.items() if r != MAIN})
                    at("read")
                    wanted = change(tip)
                    at("decided")
                    if isinstance(wanted, Done):
                        return wanted
                    commit = _commit(remote, wanted, wanted.base or main)
                    tried.add(commit)
                    at("built")
                    old = main if wanted.branch == MAIN else None
                    pushed = remote.push({wanted.branch: (old, commit), **wanted.moves})
                    at("pushed")
                    if pushed.status == 0:
                        return Done(commit, created=True)
                    # A push that fails again and again while nobody moves anything is not a race.
                    if refused >= 3:
                        raise _refusal(url, pushed.status, pushed.reason)
                    raise _LostRace
        except _LostRace:
            raise TryAgain(f"{url}: {attempts} writers in a row came first; try again") from None
    raise AssertionError("stamina gives at least one attempt")


def find_operation(
    remote: Remote, wanted: Callable[[Operation], bool], start: str, seen: Collection[str] = ()
) -> str | None:
    """The newest commit on main, at or before `start`, whose operation is wanted; None without one.

    Looks at everything that came after `seen`, else at the last commits only.
    """
    scope = ["--not", *seen] if seen else [f"--max-count={LOOK_BACK}"]
    out = remote.git.run("log", "-z", "--first-parent", "--format=%H%n%B", start, *scope, "--")
    for record in out.decode(errors="replace").split("\0"):
        commit, _, message = record.partition("\n")
        try:
            operation = parse_message(message)
        except Rejected:
            continue
        if operation is not None and wanted(operation):
            return commit
    return None


def _read(remote: Remote, commit: str | None, reads: Sequence[str], branches: Mapping[str, str]) -> Tip:
    if commit is None:
        return Tip(None, {}, branches)
    remote.prefetch(commit, reads)
    entries = list_files(remote.git, commit, reads)
    for entry in entries:
        if entry.oddity:
            raise Rejected(f"{remote.url}: {entry.path} is {entry.oddity}; replace it by a plain file and commit that")
    blobs = read_blobs(remote.git, (entry.oid for entry in entries))
    return Tip(commit, {entry.path: blobs[entry.oid] for entry in entries}, branches)


def _commit(remote: Remote, wanted: Edit, parent: str | None) -> str:
    """Build the commit without a work tree; fast-import reads and writes only the trees on the changed paths."""
    stamp = f"{IDENTITY} {int(time.time())} +0000"
    message = wanted.message.encode()
    lines = [
        f"commit refs/slipway/new\nmark :1\nauthor {stamp}\ncommitter {stamp}\ndata {len(message)}\n".encode() + message
    ]
    if parent is not None:
        lines.append(f"from {parent}".encode())
    if wanted.merges is not None:
        lines.append(f"merge {wanted.merges}".encode())
    for path, content in wanted.files.items():
        if content is None:
            lines.append(b"D " + _quoted(path))
        else:
            lines.append(b"M 100644 inline " + _quoted(path) + b"\ndata %d\n" % len(content) + content)
    lines += [b"", b"get-mark :1", b"done", b""]
    out = remote.git.run("fast-import", "--quiet", "--force", "--done", stdin=b"\n".join(lines))
    commit = out.decode().strip()
    _check_touched(remote, wanted, parent, commit)
    return commit


def _check_touched(remote: Remote, wanted: Edit, parent: str | None, commit: str) -> None:
    # fast-import puts a folder where a symbolic link or a file was; nothing of people's may go that way.
    if parent is None:
        return
    out = remote.git.run("diff-tree", "-r", "-z", "--no-renames", parent, commit)
    fields = out.decode(errors="surrogateescape").split("\0")[:-1]
    for head, path in zip(fields[::2], fields[1::2], strict=True):
        if path not in wanted.files or head[1:7] not in ("000000", "100644", "100755"):
            raise Rejected(
                f"{remote.url}: {path} is in the way of {', '.join(wanted.files)}; remove it and commit that"
            )


def _quoted(path: str) -> bytes:
    escaped = re.sub(rb'(["\\])', rb"\\\1", path.encode(errors="surrogateescape")).replace(b"\n", b"\\n")
    return b'"' + escaped + b'"'


def _refusal(url: str, status: int, reason: str) -> SlipwayError:
    if status == 1:
        # git ends with 1 when the server answered and refused a ref, with 128 when there was no answer.
        return Misconfigured(f"{url} refuses the push of main ({reason}); let slipway's account push there")
    return TryAgain(f"{url} could not be pushed to ({reason}); try again")
