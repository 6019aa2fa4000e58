"""How far did a version come? Said on the commit of the source repository that it was trained from.

It follows from git each time, so a pass that was killed leaves nothing unsaid; only what changed lately, or may fail
and stay, is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gitops.forge import CommitStatus
from hera_workflows.promoter.scene import read_scene
from hera_workflows.source_status import context
from slipway.verdict import Verdict
from slipway.version import ModelVersion

if TYPE_CHECKING:
    from gitops.forge import StatusState
    from gitops.history import Event
    from hera_workflows.promoter.scene import Line, Promoter, Scene

__all__ = ["Progress", "progress", "tell"]

# What happened before is said already; a forge would soon refuse to be asked about every version every few minutes.
_LATELY = timedelta(hours=6)
_MOST = 50  # events, and as many versions


@dataclass(frozen=True, slots=True)
class Progress:
    """What a commit's page says of one model."""

    state: StatusState
    text: str
    page: str = ""  # where to read on


def tell(promoter: Promoter, lines: Sequence[Line], now: datetime) -> None:
    """Say on source commits how far the versions came to which something happened lately, or which fail or may have.

    lines: what the pass made of each release. Raises what the forge and the environment repository raise.
    """
    if promoter.forge is None:
        return
    scene, source = read_scene(promoter.env_repo), promoter.forge.source
    sources = _sources(scene.past.events)
    newest: dict[tuple[str, str], ModelVersion] = {}  # a commit may have been trained twice
    for version in [*_lately(scene, now), *_watched(lines)]:
        if promoter.model in (None, version.name) and (commit := sources.get(version)) is not None:
            place = commit, version.name
            newest[place] = max(version, newest.get(place, version), key=lambda each: each.number)
    for (commit, model), version in newest.items():
        if (said := progress(scene, version, [line for line in lines if line.version == version])) is not None:
            known = source.statuses(commit).get(context(model))
            # Who said it first stays its page: with each pass's own, each would say it anew, up to what a forge keeps.
            if known is not None and known == CommitStatus.of(said.state, said.text, said.page or known.url):
                continue
            source.status(commit, context(model), said.state, said.text, said.page or promoter.forge.page(promoter.run))
            promoter.at("said")


def progress(scene: Scene, version: ModelVersion, lines: Sequence[Line]) -> Progress | None:
    """How far a version came; None for one that others replaced, whose status stays what it was.

    lines: what the pass made of this version.
    """
    names = [each.name for each in scene.snapshot.environments.environments]
    serving = [name for name in names if scene.snapshot.release(name, version.name) == version]
    for name in names:
        if (hold := scene.snapshot.held(name, version)) is not None:
            return Progress("failure", f"{_left(scene, name, version)} {name}: {hold.reason}")
    if not serving:
        taken = [n for n in names if version.number in scene.past.taken_out.get((n, version.name), ())]
        return Progress("failure", f"taken out of {taken[-1]} by a person") if taken else None
    furthest = serving[-1]
    if not any(line.ready for line in lines if line.environment == furthest):
        return Progress("pending", f"released to {furthest}, not served there yet")
    if failing := [line for line in lines if line.environment == furthest and line.verdict is Verdict.FAIL]:
        # Without the numbers: a forge keeps so many statuses of a commit and no more.
        stays = all(line.stays for line in failing)
        follows = "stays there until a person acts" if stays else "is to be rolled back"
        return Progress("failure", f"fails in {furthest}, and {follows}")
    for line in lines:
        if line.page is not None and line.target not in serving:
            return Progress("success", f"served in {furthest}; waits for approval for {line.target}", line.page)
    return Progress("success", f"served in {furthest}")


def _left(scene: Scene, environment: str, version: ModelVersion) -> str:
    for event in reversed(scene.past.events):
        if (event.environment, event.before) == (environment, version) and event.released:
            return "rolled back in" if event.operation and event.operation.action == "rollback" else "taken out of"
    return "held in"


def _sources(events: Sequence[Event]) -> dict[ModelVersion, str]:
    """The source commit of every version that was ever released by slipway."""
    operations = [event.operation for event in events if event.operation is not None]
    return {o.version: o.source_commit for o in operations if o.version is not None and o.source_commit is not None}


def _watched(lines: Sequence[Line]) -> list[ModelVersion]:
    """The versions that fail or, since they would not be rolled back, may have failed before."""
    found = [line for line in lines if line.stays or line.verdict is Verdict.FAIL]
    return [line.version for line in sorted(found, key=lambda line: line.verdict is not Verdict.FAIL)][:_MOST]


def _lately(scene: Scene, now: datetime) -> dict[ModelVersion, None]:
    """The versions to which something happened, in order."""
    events = [event for event in scene.past.events[-_MOST:] if now - event.when < _LATELY]
    versions: dict[ModelVersion, None] = {}
    for event in events:
        named = event.operation.version if event.operation is not None else None
        versions |= dict.fromkeys(v for v in (event.before, event.after, named) if v is not None)
    return versions | {request.version: None for request in scene.requests if now - request.opened_at < _LATELY}
