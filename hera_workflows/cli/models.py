"""What is in the model store, where did it come from, and is it what was published?"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hera_workflows.cli.options import JSON
from hera_workflows.settings import Settings, settings
from hera_workflows.terminal import printable, table
from slipway.errors import Rejected
from slipway.names import check_model, check_number

if TYPE_CHECKING:
    from slipway.manifest import Manifest
    from slipway.version import ModelVersion
    from triton_repo.store import ModelStore

__all__ = ["diff", "models", "show", "verify"]


def _store(configured: Settings) -> ModelStore:
    from triton_repo.store import open_store

    return open_store(configured.need("store"))


def _find(store: ModelStore, text: str) -> tuple[Manifest, ModelVersion]:
    """The manifest and the version that MODEL@N names; MODEL alone is its newest."""
    model, _, number = text.partition("@")
    if number:
        wanted = check_number(number)
        check_model(model)
    else:
        wanted = _numbers(store, model)[-1]
    found = store.version(model, wanted)
    return store.pinned(found)[0], found


def _numbers(store: ModelStore, model: str) -> list[int]:
    """The versions of a model, in order; raises Rejected when there is none."""
    if not (numbers := store.versions(check_model(model))):
        raise Rejected(f"{store.url} has no version of {model}; `slipway models` lists what there is")
    return numbers


@click.command()
@click.argument("model", required=False)
@JSON
@click.pass_obj
def models(home: Path | None, model: str | None, as_json: bool) -> None:
    """List the versions in the model store, or those of MODEL.

    \b
    slipway models
    slipway models digits --json
    """
    store = _store(settings(home))
    numbers = {model: _numbers(store, model)} if model else {name: store.versions(name) for name in store.models()}
    manifests = [store.manifest(name, number) for name, found in numbers.items() for number in found]
    if as_json:
        click.echo(json.dumps([_summary(manifest) for manifest in manifests], indent=2))
        return
    if not manifests:
        click.echo(f"no version of any model in {store.url}; `git push` a model to publish one", err=True)
        return
    rows = [
        (
            f"{m.name}@{m.number}",
            f"{m.created:%Y-%m-%d %H:%M}",
            m.validation.outcome,
            _headline(m),
            m.source_commit[:12],
        )
        for m in manifests
    ]
    click.echo(table(("VERSION", "CREATED", "VERDICT", "METRIC", "COMMIT"), rows))


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
@JSON
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
    facts = [
        f"{found}  {validation.outcome}  {found.digest}",
        f"created {manifest.created:%Y-%m-%d %H:%M:%S %Z} by run {manifest.run} at commit {manifest.source_commit}",
        f"data {manifest.data.digest}  champion {validation.champion or 'none'}",
    ]
    click.echo("\n".join(map(printable, facts)))
    if folder is not None and (folder / "report.html").is_file():
        click.echo(f"report {folder / 'report.html'}")
    metrics = [
        (
            name,
            f"{metric.value:.6g}",
            f"[{metric.low:.4g}, {metric.high:.4g}]" if metric.low is not None and metric.high is not None else "-",
            f"{metric.champion:.6g}" if metric.champion is not None else "-",
        )
        for name, metric in validation.metrics.items()
    ]
    checks = [(check.name, check.verdict, check.reason) for check in validation.checks]
    files = [(path, str(entry.size), entry.sha256[:16]) for path, entry in sorted(manifest.files.items())]
    click.echo("\n" + table(("METRIC", "VALUE", "INTERVAL", "CHAMPION"), metrics))
    click.echo("\n" + table(("CHECK", "VERDICT", "REASON"), checks))
    click.echo("\n" + table(("FILE", "BYTES", "SHA256"), files))


@click.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@JSON
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
        return
    head = ("WHAT", str(first), str(second))
    click.echo(table(head, [(key, _cell(left), _cell(right)) for key, left, right in rows]))


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
@JSON
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
        rows = [(text, "ok" if why is None else why) for text, why in problems.items()]
        click.echo(table(("VERSION", "FOUND"), rows))
    if bad := [text for text, why in problems.items() if why is not None]:
        raise Rejected(f"{', '.join(bad)} cannot be trusted; publish again what is still needed, remove the rest")
