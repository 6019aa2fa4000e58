"""Change a few files on main in one commit, whoever else writes: read, decide, push with a lease, or begin again.

Nothing is ever rebased: a lost race means that the decision is made again on what is there now.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from gitops.remote import LOOK_BACK, MAIN, Remote, opened
from gitops.tree import list_files, read_blobs
from slipway.errors import Misconfigured, Rejected, SlipwayError, TryAgain
from slipway.operation import Operation, parse_message

__all__ = ["POINTS", "Done", "Edit", "Tip", "edit", "find_operation"]

# Where a test may kill the process, in order.
POINTS = ("opened", "read", "decided", "built", "pushed")
# stamina logs every lost race; without this Python would print that to standard error of every command.
logging.getLogger("stamina").addHandler(logging.NullHandler())
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


@dataclass(frozen=True, slots=True)
class _Draft:
    """An edit, and the refs on which it was decided."""

    found: dict[str, str]
    wanted: Edit

    def on(self, main: str) -> _Draft:
        return _Draft({**self.found, MAIN: main}, self.wanted)


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

    def draft(remote: Remote) -> Done | _Draft:
        found = remote.branches(MAIN, *([branches] if branches else []), depth=LOOK_BACK)
        main = found.get(MAIN)
        if main is not None:
            earlier = find_operation(
                remote, f"Operation-Id: {operation_id}", lambda o: o.id == operation_id, main, seen
            )
            if earlier is not None:
                return Done(earlier, created=earlier in tried, reason="this operation is already recorded")
            seen.add(main)
        tip = _read(remote, main, reads, {ref: commit for ref, commit in found.items() if ref != MAIN})
        at("read")
        wanted = change(tip)
        at("decided")
        return wanted if isinstance(wanted, Done) else _Draft(found, wanted)

    last: dict[str, str] = {}
    unmoved = 0
    with opened(url) as remote:
        at("opened")
        try:
            for attempt in stamina.retry_context(
                on=_LostRace, attempts=attempts, timeout=seconds, wait_initial=0.01, wait_max=2.0, wait_jitter=0.2
            ):
                with attempt:
                    made = draft(remote)
                    with remote.turn():
                        if isinstance(made, _Draft):
                            made = _standing(remote, made, reads) or draft(remote)
                        if isinstance(made, Done):
                            return made
                        commit = _commit(remote, made.wanted, made.wanted.base or made.found.get(MAIN))
                        tried.add(commit)
                        at("built")
                        old = made.found.get(made.wanted.branch)
                        pushed = remote.push({made.wanted.branch: (old, commit), **made.wanted.moves})
                        at("pushed")
                    if pushed.status == 0:
                        return Done(commit, created=True)
                    # A push that fails again and again while nobody moves anything is not a race.
                    unmoved, last = (unmoved + 1 if made.found == last else 0), made.found
                    if unmoved >= 3:
                        raise _refusal(url, pushed.status, pushed.reason)
                    raise _LostRace
        except _LostRace:
            raise TryAgain(f"{url}: {attempts} writers in a row came first; try again") from None
    raise AssertionError("stamina gives at least one attempt")


def find_operation(
    remote: Remote, trailer: str, wanted: Callable[[Operation], bool], start: str, seen: Collection[str] = ()
) -> str | None:
    """The newest commit on main, at or before `start`, that has the trailer line and whose operation is wanted.

    Looks at everything that came after `seen`, else at the last commits only; None without one.
    """
    scope = ["--not", *seen] if seen else [f"--max-count={LOOK_BACK}"]
    out = remote.git.run("log", "-z", "--first-parent", "--format=%H%n%B", start, *scope, "--")
    for record in out.decode(errors="replace").split("\0"):
        if f"\n{trailer}\n" not in record:
            continue
        commit, _, message = record.partition("\n")
        try:
            operation = parse_message(message)
        except Rejected:
            continue
        if operation is not None and wanted(operation):
            return commit
    return None


def _standing(remote: Remote, made: _Draft, reads: Sequence[str]) -> _Draft | None:
    """The draft as it stands once this writer's turn has come; None when it must be decided again.

    Whoever was in front and wrote elsewhere left the same files, which give the same decision on the new main.
    """
    main = made.found.get(MAIN)
    if remote.local is None:
        return made  # there is no line before a URL
    # Main first: if it moves while this is read, the lease fails and nothing is lost.
    files = [f":{path}" for path in reads]
    now, *ids = remote.ids([MAIN, *(MAIN + file for file in files), *(f"{main}{file}" for file in files)])
    if now == main:
        return made
    if main is None or now is None or len(made.found) > 1 or ids[: len(files)] != ids[len(files) :]:
        return None
    return made.on(now)


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
    lines = []
    # Answered before the commit is built: what lies at every changed path now, and at every folder on the way to it.
    ways = sorted({way for path in wanted.files for way in _ways(path)}) if parent is not None else []
    lines += [b"ls " + str(parent).encode() + b" " + _quoted(way) for way in ways]
    lines.append(
        f"commit refs/slipway/new\nmark :1\nauthor {stamp}\ncommitter {stamp}\ndata {len(message)}\n".encode() + message
    )
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
    remote.forget()
    out = remote.git.run("fast-import", "--quiet", "--force", "--done", stdin=b"\n".join(lines))
    *found, commit = out.decode(errors="replace").splitlines()
    for way, answer in zip(ways, found, strict=True):
        # fast-import puts a folder where a symbolic link or a file was; nothing of people's may go that way.
        if not answer.startswith(("missing ", *(("100644 ", "100755 ") if way in wanted.files else ("040000 ",)))):
            raise Rejected(f"{remote.url}: {way} is in the way of a write below it; remove it and commit that")
    return commit


def _ways(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _quoted(path: str) -> bytes:
    escaped = re.sub(rb'(["\\])', rb"\\\1", path.encode(errors="surrogateescape")).replace(b"\n", b"\\n")
    return b'"' + escaped + b'"'


def _refusal(url: str, status: int, reason: str) -> SlipwayError:
    if status == 1:
        # git ends with 1 when the server answered and refused a ref, with 128 when there was no answer.
        return Misconfigured(
            f"{url} refuses the push ({reason}); let slipway's account push there, and see that its disk has room"
        )
    return TryAgain(f"{url} could not be pushed to ({reason}); try again")
