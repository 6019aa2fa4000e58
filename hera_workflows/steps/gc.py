"""Remove from the model store what nothing refers to any more, and from the workspace what old runs left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hera_workflows.old_folders import remove_folder, touched, touched_folders
from hera_workflows.steps import run_step
from hera_workflows.workspace import KEEP_RUNS
from slipway.duration import parse_duration
from slipway.errors import Misconfigured

if TYPE_CHECKING:
    from triton_repo.retention import Decision

__all__ = ["GRACE", "KEEP_RUNS", "RETENTION", "Collected", "collect", "duration", "gc"]

RETENTION = "90d"
GRACE = "1d"


@dataclass(frozen=True, slots=True)
class Collected:
    """What became of every version, and a line of each old folder of the workspace that cannot be removed."""

    decisions: list[Decision]
    stays: list[str]

    def check(self) -> None:
        """Print what stays; raises Misconfigured when anything does."""
        for line in self.stays:
            click.echo(line, err=True)
        if self.stays:
            many, first = len(self.stays), self.stays[0]
            raise Misconfigured(f"old folders that could not be removed: {many}; the first: {first}")


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
    collected = collect(
        store_url,
        env_repo,
        workspace,
        retention=duration(retention, "--retention"),
        grace=duration(grace, "--grace"),
        keep_runs=duration(keep_runs, "--keep-runs"),
        dry_run=dry_run,
        now=datetime.now(UTC),
    )
    for decision in collected.decisions:
        click.echo(str(decision))
    collected.check()


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
) -> Collected:
    """Decide on every version and, unless dry_run, remove; what cannot be read in the env repo removes nothing."""
    from gitops.needed import needed_versions
    from triton_repo.removal import remove_version, sweep_store
    from triton_repo.retention import Stored, plan_removal
    from triton_repo.store import open_store

    store = open_store(store_url)
    # Listed before the references are read: what is published meanwhile is not looked at.
    manifests = [store.manifest(model, number) for model in store.models() for number in store.versions(model)]
    references = needed_versions(env_repo, retention, now, store.holds)
    needed = defaultdict(list, {key: list(why) for key, why in references.items()})
    ages = touched_folders(workspace)
    old = {folder for folder, when in ages.items() if now - when > keep_runs}
    runs = {folder.name for folder in ages.keys() - old}
    for manifest in manifests:
        if manifest.run in runs:
            needed[manifest.name, manifest.number].append(f"run {manifest.run} is in the workspace")
        if why := needed.get((manifest.name, None)):
            needed[manifest.name, manifest.number] += why
    stored = [Stored(manifest.name, manifest.number, manifest.created) for manifest in manifests]
    decisions = plan_removal(stored, _numbered(needed), grace=grace, now=now)
    stays: list[str] = []
    if not dry_run:
        for decision in decisions:
            if not decision.keep:
                remove_version(store, decision.model, decision.number)
        sweep_store(store, now)
        for folder in sorted(old):
            # A training may have come for a data set since.
            if (when := touched(folder)) is not None and now - when > keep_runs and (problem := remove_folder(folder)):
                stays.append(f"{problem}; remove it by hand, as its owner or root")
    return Collected(decisions, stays)


def _numbered(needed: Mapping[tuple[str, int | None], Sequence[str]]) -> dict[tuple[str, int], Sequence[str]]:
    return {(model, number): list(dict.fromkeys(why)) for (model, number), why in needed.items() if number is not None}


if __name__ == "__main__":
    run_step(gc)
