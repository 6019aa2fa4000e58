"""What is in the model store, where did it come from, and is it what was published?"""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hera_workflows.settings import Settings, settings
from hera_workflows.steps.gc import GRACE, KEEP_RUNS, RETENTION, collect, duration
from slipway.errors import Rejected
from slipway.names import check_model, check_number

if TYPE_CHECKING:
    from slipway.manifest import Manifest
    from slipway.version import ModelVersion
    from triton_repo.store import ModelStore

__all__ = ["diff", "gc", "models", "show", "verify"]

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def _store(configured: Settings) -> ModelStore:
    from triton_repo.store import open_store

    return open_store(configured.need("store"))


def _find(store: ModelStore, text: str) -> tuple[Manifest, ModelVersion]:
    """The manifest and the version that MODEL@N names; MODEL alone is its newest."""
    model, _, number = text.partition("@")
    if number:
        wanted = check_number(number)
        check_model(model)
    elif not (numbers := store.versions(check_model(model))):
        raise Rejected(f"{store.url} has no version of {model}; `slipway models` lists what there is")
    else:
        wanted = numbers[-1]
    found = store.version(model, wanted)
    return store.pinned(found)[0], found


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """A table on a terminal, tab-separated lines elsewhere."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table(*columns, box=None, pad_edge=False)
        for row in rows:
            table.add_row(*map(escape, row))
        Console().print(table)
        return
    for row in rows:
        click.echo("\t".join(row))


@click.command()
@click.argument("model", required=False)
@_JSON
@click.pass_obj
def models(home: Path | None, model: str | None, as_json: bool) -> None:
    """List the versions in the model store, or those of MODEL.

    \b
    slipway models
    slipway models digits --json
    """
    store = _store(settings(home))
    names = [check_model(model)] if model else store.models()
    manifests = [store.manifest(name, number) for name in names for number in store.versions(name)]
    if as_json:
        click.echo(json.dumps([_summary(manifest) for manifest in manifests], indent=2))
        return
    if not manifests:
        click.echo(f"no version of {model or 'any model'} in {store.url}; `git push` a model to publish one", err=True)
    _table(
        ("version", "created", "verdict", "metric", "commit"),
        [
            (
                f"{m.name}@{m.number}",
                f"{m.created:%Y-%m-%d %H:%M}",
                m.validation.outcome,
                _headline(m),
                m.source_commit[:12],
            )
            for m in manifests
        ],
    )


def _summary(manifest: Manifest) -> dict[str, Any]:
    return {
        "model": manifest.name,
        "number": manifest.number,
        "created": manifest.created.isoformat(),
        "outcome": manifest.validation.outcome,
        "metrics": {name: metric.value for name, metric in manifest.validation.metrics.items()},
        "source_commit": manifest.source_commit,
        "run": manifest.run,
    }


def _headline(manifest: Manifest) -> str:
    """The metric that the champion gate compares, else the first one."""
    metrics = manifest.validation.metrics
    name = manifest.spec.gates.champion.metric or next(iter(metrics), "")
    return f"{name} {metrics[name].value:.4g}" if name in metrics else ""


@click.command()
@click.argument("version", metavar="MODEL[@N]")
@_JSON
@click.pass_obj
def show(home: Path | None, version: str, as_json: bool) -> None:
    """Show one version: metrics, verdict, provenance, files. MODEL alone is its newest version.

    \b
    slipway show digits@3
    slipway show digits --json | jq .validation.metrics
    """
    store = _store(settings(home))
    manifest, found = _find(store, version)
    if as_json:
        click.echo(json.dumps({**manifest.model_dump(mode="json"), "digest": found.digest}, indent=2))
        return
    validation, folder = manifest.validation, store.local_path(found.name, found.number)
    click.echo(f"{found}  {validation.outcome}  {found.digest}")
    click.echo(
        f"created {manifest.created:%Y-%m-%d %H:%M:%S %Z} by run {manifest.run} at commit {manifest.source_commit}"
    )
    click.echo(f"data {manifest.data.digest}  champion {validation.champion or 'none'}")
    if folder is not None and (folder / "report.html").is_file():
        click.echo(f"report {folder / 'report.html'}")
    click.echo("\nmetrics")
    _table(
        ("metric", "value", "interval", "champion"),
        [
            (
                name,
                f"{metric.value:.6g}",
                f"[{metric.low:.4g}, {metric.high:.4g}]" if metric.low is not None and metric.high is not None else "-",
                f"{metric.champion:.6g}" if metric.champion is not None else "-",
            )
            for name, metric in validation.metrics.items()
        ],
    )
    click.echo("\nchecks")
    _table(("check", "verdict", "reason"), [(c.name, c.verdict, c.reason) for c in validation.checks])
    click.echo("\nfiles")
    _table(
        ("file", "bytes", "sha256"),
        [(path, str(entry.size), entry.sha256[:16]) for path, entry in sorted(manifest.files.items())],
    )


@click.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@_JSON
@click.pass_obj
def diff(home: Path | None, before: str, after: str, as_json: bool) -> None:
    """Compare two versions: metrics, params, data, code, files. Only what differs is printed.

    \b
    slipway diff digits@2 digits@3
    slipway diff digits@2 digits          # against the newest
    """
    store = _store(settings(home))
    (old, first), (new, second) = _find(store, before), _find(store, after)
    rows = [(key, left, right) for key, left, right in _pairs(_facts(old), _facts(new)) if left != right]
    if as_json:
        click.echo(json.dumps([{"what": k, str(first): a, str(second): b} for k, a, b in rows], indent=2))
        return
    if not rows:
        click.echo(f"{first} and {second} do not differ", err=True)
    _table(("", str(first), str(second)), [(key, _cell(left), _cell(right)) for key, left, right in rows])


def _facts(manifest: Manifest) -> dict[str, Any]:
    """What people compare, as flat names and JSON values."""
    facts: dict[str, Any] = {"code commit": manifest.source_commit, "data digest": manifest.data.digest}
    facts |= {f"samples {split}": count for split, count in manifest.data.counts.items()}
    facts |= {f"metric {name}": metric.value for name, metric in manifest.validation.metrics.items()}
    facts |= {f"param {name}": value for name, value in manifest.spec.train.params.items()}
    facts["outcome"] = str(manifest.validation.outcome)
    facts["serving p95 ms"] = manifest.validation.p95_ms
    facts |= {f"spec {name}": value for name, value in _flat(manifest.spec.model_dump(mode="json")).items()}
    facts |= {f"tool {name}": version for name, version in manifest.tools.items()}
    files = {path.removeprefix(f"{manifest.number}/"): e.sha256 for path, e in manifest.files.items()}
    facts |= {f"file {path}": digest for path, digest in files.items() if path != "config.pbtxt"}
    return facts


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        if f"{prefix}{key}" == "train.params":
            continue  # listed as params
        flat |= _flat(inner, f"{prefix}{key}.") if isinstance(inner, dict) else {f"{prefix}{key}": inner}
    return flat


def _pairs(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    return [(key, old.get(key), new.get(key)) for key in dict.fromkeys([*old, *new])]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    # Commits and hashes are told apart by their beginning.
    return str(value)[:19] if re.fullmatch(r"(sha256:)?[0-9a-f]{40,}", str(value)) else str(value)


@click.command()
@click.argument("versions", metavar="[MODEL[@N]]...", nargs=-1)
@_JSON
@click.pass_obj
def verify(home: Path | None, versions: tuple[str, ...], as_json: bool) -> None:
    """Check the signature and every byte of versions; of all in the store when none is named.

    \b
    slipway verify digits@3
    slipway verify
    """
    from triton_repo.fetch import check

    configured = settings(home)
    store = _store(configured)
    key = Path(configured.need("verify_key"))
    wanted = versions or tuple(f"{name}@{number}" for name in store.models() for number in store.versions(name))
    problems: dict[str, str | None] = {}
    for text in wanted:
        try:
            check(store, _find(store, text)[1], verify_key=key)
            problems[text] = None
        except Rejected as error:
            problems[text] = str(error)
    if as_json:
        click.echo(json.dumps([{"version": v, "ok": why is None, "problem": why} for v, why in problems.items()]))
    else:
        for text, why in problems.items():
            click.echo(f"{text}\t{'ok' if why is None else why}")
    if bad := [text for text, why in problems.items() if why is not None]:
        raise Rejected(f"{', '.join(bad)} cannot be trusted; publish again what is still needed, remove the rest")


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--retention", default=RETENTION, show_default=True, help="How long a past release keeps its version.")
@click.option("--grace", default=GRACE, show_default=True, help="Versions younger than this are always kept.")
@click.option("--keep-runs", default=KEEP_RUNS, show_default=True, help="Workspace folders untouched longer go.")
@_JSON
@click.pass_obj
def gc(home: Path | None, dry_run: bool, retention: str, grace: str, keep_runs: str, as_json: bool) -> None:
    """Remove versions that nothing refers to any more, and say why each of the others is kept.

    \b
    slipway gc --dry-run
    slipway gc --retention 30d
    """
    configured = settings(home)
    decisions = collect(
        configured.need("store"),
        configured.need("env_repo"),
        configured.platform.workspace if configured.platform else None,
        retention=duration(retention, "--retention"),
        grace=duration(grace, "--grace"),
        keep_runs=duration(keep_runs, "--keep-runs"),
        dry_run=dry_run,
        now=datetime.now(UTC),
    )
    if as_json:
        click.echo(
            json.dumps(
                [
                    {"version": f"{d.model}@{d.number}", "keep": d.keep, "reason": d.reason, "done": not dry_run}
                    for d in decisions
                ],
                indent=2,
            )
        )
        return
    verb = {True: "keep", False: "would remove" if dry_run else "removed"}
    _table(("", "version", "why"), [(verb[d.keep], f"{d.model}@{d.number}", d.reason) for d in decisions])
