"""Remove from the model store what nothing refers to any more, and from the workspace what old runs left."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hera_workflows.steps import run_step
from slipway.duration import parse_duration
from slipway.errors import Misconfigured

if TYPE_CHECKING:
    from triton_repo.retention import Decision

__all__ = ["collect", "gc", "references"]

RETENTION = "90d"
GRACE = "1d"
KEEP_RUNS = "7d"


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
    decisions = collect(
        store_url,
        env_repo,
        workspace,
        retention=duration(retention, "--retention"),
        grace=duration(grace, "--grace"),
        keep_runs=duration(keep_runs, "--keep-runs"),
        dry_run=dry_run,
        now=datetime.now(UTC),
    )
    for decision in decisions:
        click.echo(str(decision))


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
) -> list[Decision]:
    """Decide on every version and, unless dry_run, remove; what cannot be read in the env repo removes nothing."""
    from triton_repo.removal import remove_version, sweep_store
    from triton_repo.retention import Stored, plan_removal
    from triton_repo.store import open_store

    store = open_store(store_url)
    # Listed before the references are read: what is published meanwhile is not looked at.
    manifests = [store.manifest(model, number) for model in store.models() for number in store.versions(model)]
    needed = defaultdict(list, {key: list(why) for key, why in references(env_repo, retention, now).items()})
    runs = _runs(workspace)
    old = {name for name, touched in runs.items() if now - touched > keep_runs}
    for manifest in manifests:
        if manifest.run in runs.keys() - old:
            needed[manifest.name, manifest.number].append(f"run {manifest.run} is in the workspace")
        if why := needed.get((manifest.name, None)):
            needed[manifest.name, manifest.number] += why
    stored = [Stored(manifest.name, manifest.number, manifest.created) for manifest in manifests]
    decisions = plan_removal(stored, _numbered(needed), grace=grace, now=now)
    if not dry_run:
        for decision in decisions:
            if not decision.keep:
                remove_version(store, decision.model, decision.number)
        sweep_store(store)
        for name in sorted(old):
            assert workspace is not None
            shutil.rmtree(workspace / name, ignore_errors=True)
    return decisions


def references(env_repo: str, retention: timedelta, now: datetime) -> Mapping[tuple[str, int | None], Sequence[str]]:
    """Who needs which version, by (model, number); number None: every version of that model.

    Served now, held, waiting for an approval, released within the retention, and what a rollback would return to.
    """
    from gitops.approvals import requests
    from gitops.environment_repo import read
    from gitops.history import history

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
    way_back: set[tuple[str, str]] = set()
    for event in history(env_repo, start=snapshot.commit):
        if event.environment is None or event.model is None or not event.released:
            continue
        key, old = (event.environment, event.model), event.before
        if now - event.when <= retention:
            for past, what in ((event.after, "released"), (old, "replaced")):
                if past is not None:
                    found[past.name, past.number].append(f"{what} in {key[0]} on {event.when:%Y-%m-%d}")
        # The newest earlier release that may come back is what a rollback returns to, however old it is.
        if old is None or old == snapshot.release(*key) or key in way_back or snapshot.held(key[0], old):
            continue
        way_back.add(key)
        found[old.name, old.number].append(f"a rollback in {key[0]} returns to it")
    return found


def _numbered(needed: Mapping[tuple[str, int | None], Sequence[str]]) -> dict[tuple[str, int], Sequence[str]]:
    return {(model, number): list(dict.fromkeys(why)) for (model, number), why in needed.items() if number is not None}


def _runs(workspace: Path | None) -> dict[str, datetime]:
    """Each run's folder in the workspace, and when something in it was last made."""
    if workspace is None or not workspace.is_dir():
        return {}
    touched = {}
    for folder in workspace.iterdir():
        if folder.is_dir() and not folder.is_symlink():
            newest = max((Path(parent).stat().st_mtime for parent, _, _ in os.walk(folder)), default=0.0)
            touched[folder.name] = datetime.fromtimestamp(newest, UTC)
    return touched


if __name__ == "__main__":
    run_step(gc)
