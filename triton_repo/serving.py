"""How does a server come to serve exactly the wanted versions, without a moment in which it serves none?

For each model: the version's files are put beside the old one's, config.pbtxt is switched by one rename, the server
loads, and the index is polled until exactly the wanted version is READY. Each version's directory carries its manifest
and config, so that any process can tell what lies there and put the old config back. Loading comes before unloading.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slipway.errors import Rejected, TryAgain
from slipway.lock import locked
from slipway.manifest import manifest_digest
from slipway.names import MODEL
from slipway.version import ModelVersion
from triton_repo.control import IndexEntry, TritonControl
from triton_repo.failures import Failures
from triton_repo.fetch import fetch
from triton_repo.staging import place, remove_tree, sync_tree
from triton_repo.store import ModelStore
from triton_repo.store_errors import store_errors

__all__ = ["POINTS", "Result", "serve"]

# Where a test may kill serve; each is named for what has just been done.
POINTS = ("fetched", "placed", "configured", "loaded", "ready", "cleaned", "unloaded", "removed")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one model; `version` is None for one that was removed."""

    model: str
    version: ModelVersion | None
    state: Literal["ready", "unchanged", "failed", "removed"]
    reason: str


@dataclass(frozen=True, slots=True)
class _Server:
    """One server's repository and everything needed to change it."""

    store: ModelStore
    control: TritonControl
    repository: Path
    staging: Path
    failures: Failures
    verify_key: Path | None
    timeout: float
    retry: bool
    at: Callable[[str], None]

    def ready(self, model: str) -> set[int]:
        return {entry.number for entry in self._index(model) if entry.state == "READY" and entry.number is not None}

    def _index(self, model: str) -> list[IndexEntry]:
        return [entry for entry in self.control.index() if entry.model == model]

    def settled(self, model: str, wanted: set[int]) -> bool:
        """Wait until exactly the wanted numbers of a model are READY and nothing of it is on the way."""
        deadline = time.monotonic() + self.timeout
        while True:
            entries = self._index(model)
            moving = any(entry.state in ("LOADING", "UNLOADING") for entry in entries)
            if not moving or time.monotonic() > deadline:
                # An old version that still answers a long request is UNLOADING; that is no failure of the new one.
                return {e.number for e in entries if e.state == "READY"} == wanted
            time.sleep(0.02)

    def reason(self, model: str, number: int) -> str:
        said = [entry.reason for entry in self._index(model) if entry.number == number and entry.reason]
        return _line(said[0]) if said else "the server gave no reason; see its log"


def serve(
    store: ModelStore,
    control: TritonControl,
    repository: Path,
    wanted: Sequence[ModelVersion],
    *,
    verify_key: Path | None,
    timeout: float,
    retry: bool = True,
    at: Callable[[str], None] = lambda point: None,
) -> list[Result]:
    """Make the server over `repository` serve exactly `wanted`, one version of a model; a result for each model.

    A version that cannot be fetched, verified or loaded is "failed" and what was served before it stays. timeout: in
    seconds, for each model. retry: False leaves out a version that did not load before and is wanted still.
    May be killed anywhere and run again; two calls for one repository run one after the other.
    Raises TryAgain when the store or the server does not answer, Misconfigured for a wrong secret or key.
    """
    if len({version.name for version in wanted}) != len(wanted):
        raise Rejected("two versions of one model are wanted on one server; give one of each")
    # Beside the repository: Triton takes every directory inside for a model, and "3.tmp" for version 3.
    staging = repository.with_name(f"{repository.name}.staging")
    failures = Failures(repository.with_name(f"{repository.name}.failed"))
    server = _Server(store, control, repository, staging, failures, verify_key, timeout, retry, at)
    with locked(repository.with_name(f"{repository.name}.lock"), f"serving from {repository}", wait=timeout):
        with store_errors(str(repository)):
            remove_tree(staging)
            staging.mkdir(parents=True)
            repository.mkdir(exist_ok=True)
        results = [_serve_one(server, version) for version in sorted(wanted)]
        names = {version.name for version in wanted}
        # What has no model's name (lost+found) was never loaded by us and is left to whoever put it there.
        here = {path.name for path in repository.iterdir() if re.fullmatch(MODEL, path.name, re.ASCII)}
        loaded = {entry.model for entry in control.index() if entry.state}
        return results + [_remove(server, model) for model in sorted((here | loaded) - names)]


def _serve_one(server: _Server, version: ModelVersion) -> Result:
    model, number = version.name, version.number
    before = server.ready(model)
    folder = server.repository / model
    try:
        if before == {number} and _digest(folder / str(number)) == version.digest:
            _clean(server, version)
            server.failures.forget(model)
            return Result(model, version, "unchanged", f"{version} is READY")
        if not server.retry and (said := server.failures.reason(version)) is not None:
            return Result(model, version, "failed", f"{version} did not load before ({said}) and was not tried again")
        _put(server, version)
        server.at("placed")
        _switch(server, folder, number)
    except Rejected as error:
        return Result(model, version, "failed", str(error))
    server.at("configured")
    try:
        server.control.load(model, timeout=server.timeout)
        server.at("loaded")
        failed = None if server.settled(model, {number}) else server.reason(model, number)
    except Rejected as error:
        failed = _line(str(error))
    except TryAgain:
        server.ready(model)  # raises again if it is the server that is away, not this model that takes too long
        failed = f"it was not loaded within {server.timeout:g} s"
    if failed is not None:
        kept = ""
        for old in sorted(before - {number}):
            _switch(server, folder, old)
            kept = f"; still serving {model}@{old}"
        server.failures.remember(version, failed)
        return Result(model, version, "failed", f"{version} does not load: {failed}{kept}")
    server.failures.forget(model)
    server.at("ready")
    _clean(server, version)
    server.at("cleaned")
    return Result(model, version, "ready", f"{version} is READY")


def _line(said: str) -> str:
    """What a backend said, without its Python traceback."""
    return " ".join(said.split("\nAt:")[0].split())[:500]


def _digest(folder: Path) -> str | None:
    """The digest of the version whose files lie in a version directory."""
    try:
        return manifest_digest((folder / "manifest.json").read_bytes())
    except FileNotFoundError:
        return None


def _put(server: _Server, version: ModelVersion) -> None:
    """Put a version's directory in place by one rename, unless it is there."""
    target = server.repository / version.name / str(version.number)
    if _digest(target) == version.digest:
        return
    number = f"{version.number}/"
    bundle = server.staging / f"{version.name}-{version.number}"
    fetch(
        server.store,
        version,
        bundle,
        verify_key=server.verify_key,
        only=lambda path: path == "config.pbtxt" or path.startswith(number),
    )
    server.at("fetched")
    with store_errors(str(server.repository)):
        for name in ("manifest.json", "config.pbtxt"):
            (bundle / name).rename(bundle / number / name)
        sync_tree(bundle)
        if target.exists():
            # Other bytes under this number: the store was replaced. Nobody could tell afterwards which of the two is
            # loaded, so the old one goes first.
            if version.number in server.ready(version.name):
                _unload(server, version.name)
            target.rename(server.staging / f"{version.name}-{version.number}.old")
        place(bundle / number, target)
        remove_tree(bundle)


def _switch(server: _Server, folder: Path, number: int) -> None:
    """Make config.pbtxt the one that serves `number`, by one rename; an equal file is not touched."""
    wanted, current = folder / str(number) / "config.pbtxt", folder / "config.pbtxt"
    with store_errors(str(folder)):
        if current.is_file() and current.read_bytes() == wanted.read_bytes():
            return
        partial = server.staging / f"{folder.name}.pbtxt"
        shutil.copyfile(wanted, partial)
        partial.replace(current)


def _clean(server: _Server, version: ModelVersion) -> None:
    """Remove every version's directory but the served one, and whatever else lies in the model's directory."""
    folder = server.repository / version.name
    with store_errors(str(folder)):
        for path in folder.iterdir():
            if path.name not in (str(version.number), "config.pbtxt"):
                aside = server.staging / f"{version.name}-{path.name}.old"
                remove_tree(aside)
                path.rename(aside)
                remove_tree(aside)


def _unload(server: _Server, model: str) -> None:
    server.control.unload(model)
    if not server.settled(model, set()):
        raise TryAgain(f"{model} was not unloaded within {server.timeout:g} s; run this again")


def _remove(server: _Server, model: str) -> Result:
    _unload(server, model)
    server.at("unloaded")
    aside = server.staging / f"{model}.old"
    with store_errors(str(server.repository / model)):
        remove_tree(aside)
        if (server.repository / model).exists():
            (server.repository / model).rename(aside)
            remove_tree(aside)
    server.failures.forget(model)
    server.at("removed")
    return Result(model, None, "removed", f"{model} is wanted no longer")
