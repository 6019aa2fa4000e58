"""Remove from the model store what nothing refers to any more, and from the workspace what old runs left."""

from __future__ import annotations

import os
import shutil
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hera_workflows.steps import run_step
from hera_workflows.workspace import KEEP_RUNS
from slipway.duration import parse_duration
from slipway.errors import Misconfigured
from slipway.text import one_line

if TYPE_CHECKING:
    from triton_repo.retention import Decision

__all__ = ["GRACE", "KEEP_RUNS", "RETENTION", "collect", "duration", "gc", "references"]

RETENTION = "90d"
GRACE = "1d"
_on_stderr = partial(click.echo, err=True)


@click.command()
@click.option("--store", "store_url", required=True, help="The model store: a folder or an fsspec URL.")
@click.option("--env-repo", required=True, help="The environment repository.")
@click.option("--workspace", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--retention", default=RETENTION, show_default=True, help="How long a past release keeps its version.")
@click.option("--grace", default=GRACE, show_default=True, help="Versions younger than this are always kept.")
@click.option("--keep-runs", default=KEEP_RUNS, show_default=True, help="Workspace folders untouched longer go.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def gc(
    store_url: str, env_repo: str, workspace: Path, retention: str, grace: str, keep_runs: str, dry_run: bool
) -> None:
    """Remove versions that no environment, history within the retention, hold, request or run needs."""
    stays: list[str] = []
    decisions = collect(
        store_url,
        env_repo,
        workspace,
        retention=duration(retention, "--retention"),
        grace=duration(grace, "--grace"),
        keep_runs=duration(keep_runs, "--keep-runs"),
        dry_run=dry_run,
        now=datetime.now(UTC),
        tell=stays.append,
    )
    for decision in decisions:
        click.echo(str(decision))
    for line in stays:
        click.echo(line, err=True)
    if stays:
        raise Misconfigured(f"old folders that could not be removed: {len(stays)}; the first: {stays[0]}")


def duration(text: str, flag: str) -> timedelta:
    """A flag's duration; raises Misconfigured when it is none."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise Misconfigured(f"{flag}: {error}") from None


def collect(
    store_url: str,
    env_repo: str,
    workspace: Path | None,
    *,
    retention: timedelta,
    grace: timedelta,
    keep_runs: timedelta,
    dry_run: bool,
    now: datetime,
    tell: Callable[[str], None] = _on_stderr,
) -> list[Decision]:
    """Decide on every version and, unless dry_run, remove; what cannot be read in the env repo removes nothing.

    tell: hears a line of each old folder of the workspace that cannot be removed.
    """
    from triton_repo.removal import remove_version, sweep_store
    from triton_repo.retention import Stored, plan_removal
    from triton_repo.store import open_store

    store = open_store(store_url)
    # Listed before the references are read: what is published meanwhile is not looked at.
    manifests = [store.manifest(model, number) for model in store.models() for number in store.versions(model)]
    needed = defaultdict(list, {key: list(why) for key, why in references(env_repo, retention, now).items()})
    touched = _touched(workspace)
    old = {folder for folder, when in touched.items() if now - when > keep_runs}
    runs = {folder.name for folder in touched.keys() - old}
    for manifest in manifests:
        if manifest.run in runs:
            needed[manifest.name, manifest.number].append(f"run {manifest.run} is in the workspace")
        if why := needed.get((manifest.name, None)):
            needed[manifest.name, manifest.number] += why
    stored = [Stored(manifest.name, manifest.number, manifest.created) for manifest in manifests]
    decisions = plan_removal(stored, _numbered(needed), grace=grace, now=now)
    if not dry_run:
        for decision in decisions:
            if not decision.keep:
                remove_version(store, decision.model, decision.number)
        sweep_store(store, now)
        for folder in sorted(old):
            if problem := _remove(folder):
                tell(f"{one_line(str(folder))} cannot be removed ({problem}); remove it by hand, as its owner or root")
    return decisions


def references(env_repo: str, retention: timedelta, now: datetime) -> Mapping[tuple[str, int | None], Sequence[str]]:
    """Who needs which version, by (model, number); number None: every version of that model.

    Served now, held, waiting for an approval, released within the retention, and what a rollback would return to.
    """
    from gitops.approvals import requests
    from gitops.environment_repo import read
    from gitops.history import Event, past
    from gitops.rollback import last_good

    snapshot = read(env_repo)
    found: defaultdict[tuple[str, int | None], list[str]] = defaultdict(list)
    for (environment, model), version in sorted(snapshot.releases.items()):
        found[model, version.number].append(f"served in {environment}")
    for path in sorted(snapshot.broken):
        # What such a file meant to say is unknown, so nothing of that model may go.
        parts = path.split("/")
        if len(parts) > 3:
            found[parts[2], None].append(f"{path} cannot be read")
    for hold in snapshot.holds:
        found[hold.model, hold.number].append(f"held in {hold.environment}")
    for request in requests(env_repo):
        found[request.version.name, request.version.number].append(f"waits for approval in {request.environment}")
    known = past(env_repo, start=snapshot.commit)
    events: defaultdict[tuple[str, str], list[Event]] = defaultdict(list)  # newest first
    for event in reversed(known.events):
        if event.environment is None or event.model is None or not event.released:
            continue
        events[event.environment, event.model].append(event)
        if now - event.when <= retention:
            for past_one, what in ((event.after, "released"), (event.before, "replaced")):
                if past_one is not None:
                    why = f"{what} in {event.environment} on {event.when:%Y-%m-%d}"
                    found[past_one.name, past_one.number].append(why)
    for place, its in events.items():
        back = last_good(snapshot, place[0], snapshot.release(*place), its, known.taken_out.get(place, ()))
        if back is not None:  # however old it is
            found[back.name, back.number].append(f"a rollback in {place[0]} returns to it")
    return found


def _numbered(needed: Mapping[tuple[str, int | None], Sequence[str]]) -> dict[tuple[str, int], Sequence[str]]:
    return {(model, number): list(dict.fromkeys(why)) for (model, number), why in needed.items() if number is not None}


def _touched(workspace: Path | None) -> dict[Path, datetime]:
    """Each run's folder in the workspace and each data set's in the cache, and when something in it was last made."""
    if workspace is None:
        return {}
    runs = [folder for folder in _folders(workspace) if folder.name != "datasets"]
    models = _folders(workspace / "datasets")
    for model in models:
        _open(model)  # even in a dry run: in a folder that people's code closed, nothing can be seen
    sets = [entry for model in models for entry in _folders(model) if entry.name != ".locks"]
    found = {}
    for folder in runs + sets:
        times = []
        for parent in _within(folder):
            with suppress(OSError):  # a step that runs moves what it has finished
                seen = parent.lstat()
                # People's code may set st_mtime to any day to come. Alone, st_ctime would be too young: where a volume
                # takes a pod's fsGroup, each pod that mounts it sets the owner of every file in it again.
                times.append(min(seen.st_mtime, seen.st_ctime))
        if times:
            found[folder] = datetime.fromtimestamp(max(0.0, *times), UTC)
    return found


def _remove(folder: Path) -> str | None:
    """Remove a folder, even one that people's code made read-only, and follow no link; why it stays if it does."""
    for parent in _within(folder):
        _open(parent)
    try:
        shutil.rmtree(folder)
    except (OSError, RecursionError) as error:
        if os.path.lexists(folder):
            return getattr(error, "strerror", None) or str(error)
    return None


def _within(folder: Path) -> Iterator[Path]:
    """A folder and every folder below it, each before what it holds is listed."""
    waiting = [folder]
    while waiting:
        yield (parent := waiting.pop())
        with suppress(OSError), os.scandir(parent) as entries:
            waiting += [Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False)]


def _open(folder: Path) -> None:
    """Let its owner list and change a folder; another's folder stays as it is."""
    with suppress(OSError):
        mode = folder.lstat().st_mode
        if stat.S_ISDIR(mode) and mode & stat.S_IRWXU != stat.S_IRWXU:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IRWXU)


def _folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return [child for child in parent.iterdir() if child.is_dir() and not child.is_symlink()]


if __name__ == "__main__":
    run_step(gc)
