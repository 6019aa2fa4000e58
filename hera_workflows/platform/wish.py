"""What does git want of every environment? Reads releases, history, evidence, holds, freezes and waiting approvals."""

from __future__ import annotations

from gitops.approvals import requests
from gitops.environment_repo import Snapshot, read
from gitops.git import Git
from gitops.history import history
from gitops.layout import RELEASE_FILE, evidence_path
from gitops.remote import opened
from gitops.tree import list_files, read_blobs
from hera_workflows.platform.status import Note, Wanted, Wish
from slipway.errors import Rejected
from slipway.evidence import ServedEvidence, parse_evidence
from slipway.version import ModelVersion

__all__ = ["read_wish", "verdict_of"]


def read_wish(env_repo: str) -> Wish:
    """What main says now, and what waits beside it.

    Raises TryAgain when the env repo cannot be reached, Misconfigured when it is empty.
    """
    snapshot = read(env_repo)
    names = tuple(environment.name for environment in snapshot.environments.environments)
    releases = {place: version for place, version in snapshot.releases.items() if place[0] in names}
    since = _since(env_repo, releases)
    evidence = _evidence(env_repo, snapshot.commit, list(releases))
    wanted = tuple(
        Wanted(environment, model, version.number, *since.get((environment, model), ("", "")), verdict)
        for (environment, model), version in sorted(releases.items())
        for verdict in [verdict_of(evidence.get((environment, model)), version)]
    )
    broken = (match for path in sorted(snapshot.broken) if (match := RELEASE_FILE.fullmatch(path)))
    unreadable = tuple((match["environment"], match["model"]) for match in broken)
    return Wish(snapshot.commit, names, wanted, tuple(_notes(env_repo, snapshot)), unreadable)


def verdict_of(evidence: bytes | None, version: ModelVersion) -> str:
    """What the evidence beside a release says of that release, in one or two words."""
    if evidence is None:
        return "none"
    try:
        parsed = parse_evidence(evidence)
    except Rejected:
        return "unreadable"
    if parsed.version.number != version.number:
        return "rolled back" if isinstance(parsed, ServedEvidence) else "of another version"
    return parsed.verdict.value if isinstance(parsed, ServedEvidence) else parsed.validation.outcome.value


def _since(env_repo: str, releases: dict[tuple[str, str], ModelVersion]) -> dict[tuple[str, str], tuple[str, str]]:
    missing, found = set(releases), {}
    for event in history(env_repo):
        if not missing:
            break
        if not event.released or event.environment is None or event.model is None:
            continue
        place = (event.environment, event.model)
        if place in missing:
            found[place] = (event.when.isoformat(), event.commit)
            missing.discard(place)
    return found


def _evidence(env_repo: str, commit: str, places: list[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    paths = {evidence_path(environment, model): (environment, model) for environment, model in places}
    if not paths:
        return {}
    with opened(env_repo) as remote:
        git = Git(remote.local) if remote.local is not None else remote.git
        if remote.local is None:
            remote.branches("refs/heads/main", depth=1)
            remote.prefetch(commit, list(paths))
        entries = {entry.path: entry.oid for entry in list_files(git, commit, list(paths))}
        blobs = read_blobs(git, entries.values())
    return {paths[path]: blobs[oid] for path, oid in entries.items()}


def _notes(env_repo: str, snapshot: Snapshot) -> list[Note]:
    notes = [
        Note(hold.environment, f"{hold.model}@{hold.number} is on hold: {hold.reason}")
        for hold in sorted(snapshot.holds, key=lambda hold: (hold.environment, hold.model, hold.number))
    ]
    for environment, freezes in snapshot.freezes.items():
        for freeze in freezes:
            end = f" until {freeze.until:%Y-%m-%d %H:%M %Z}" if freeze.until else ""
            start = freeze.start.isoformat() if freeze.start else None
            until = freeze.until.isoformat() if freeze.until else None
            notes.append(Note(environment, f"frozen{end}: {freeze.reason}", start, until))
    for request in sorted(requests(env_repo), key=lambda request: (request.environment, request.version)):
        command = f"slipway approve {request.environment} {request.version.name}"
        notes.append(Note(request.environment, f"{request.version} waits for approval: {command}"))
    for path, why in sorted(snapshot.broken.items()):
        what = f"{path} is broken: {why.removeprefix(f'{path}: ')}"
        notes.append(Note(path.split("/")[1] if path.count("/") > 1 else "", what))
    return notes
