"""Run a rendered workflow on this machine, or go on with one that was interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import secrets
import shutil
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hera_workflows.local.admission import Admission, Machine, this_machine
from hera_workflows.local.check import check, workflow_parameters
from hera_workflows.local.engine import Engine
from hera_workflows.local.journal import Journal, Past, read_journal
from hera_workflows.local.locks import Lock, try_lock
from hera_workflows.local.manifest import Manifest
from hera_workflows.local.read import load
from hera_workflows.local.result import ON_EXIT, Event, NodeResult, State, Status, WorkflowResult
from hera_workflows.local.runs import prune
from hera_workflows.local.stale import kill_marked
from hera_workflows.local.steps import Place, Steps, Tell
from hera_workflows.templates.values import Values
from slipway.errors import Rejected, TryAgain

__all__ = ["identify", "is_name", "run"]

_RUN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", re.ASCII)


def run(
    template: Path,
    parameters: Mapping[str, str],
    *,
    name: str,
    root: Path,
    volumes: Mapping[str, Path],
    env: Mapping[str, str] | None = None,
    on_event: Callable[[Event], None] | None = None,
    on_output: Callable[[str, bytes], None] | None = None,
    images: Collection[str] | None = None,
    machine: Machine | None = None,
) -> WorkflowResult:
    """Run the manifest in `template` to its end; called again with the same name it goes on where it stopped.

    root: state and logs, `<root>/<name>/<step>.log`; volumes: a folder for each claim and Secret; env: values for the
    variables that the manifest takes from Secrets, by the variable's name; on_event, on_output: hear what happens and
    what steps print; images: those that may be named, the default values' when None. SIGTERM, SIGINT and SIGHUP stop
    every step; the result's status is then "Stopped", and the same call goes on later.

    Raises Misconfigured (a field that is not honoured, with its path), Rejected (the name belongs to another template
    or other parameters), TryAgain (this run is going on in another process).
    """
    manifest, content = load(template)
    allowed = Values().images.model_dump().values() if images is None else images
    check(manifest, allowed, volumes)
    values = workflow_parameters(manifest, parameters)
    if not is_name(name):
        raise Rejected(
            f"{name[:80]!r} is not a run's name; use 1 to 63 of a-z, 0-9, . and -, starting with a letter or digit"
        )
    root = root.absolute()
    folders = {claim: folder.absolute() for claim, folder in volumes.items()}
    place = Place(root / name, root / ".locks", folders, env or {}, secrets.token_hex(8))
    tell = _teller(on_event)
    try:
        with _alone(place, name):
            past = _past(place, identify(manifest, content, values))
            if past.status == "Succeeded":
                return WorkflowResult(name, "Succeeded", tuple(past.ended.values()), place.folder)
            with contextlib.closing(_begin(place, past, identify(manifest, content, values))) as journal:
                admission = Admission(machine or this_machine(), place.folder, place.locks, place.mark)
                steps = Steps(manifest, place, journal, admission, tell, on_output)
                engine = Engine(manifest, place, journal, past, steps, tell)
                workflow = _workflow_values(manifest, values, name, past.started)
                status = asyncio.run(_until_stopped(engine, manifest, workflow))
                if status != "Stopped":
                    journal.write("status", status=status)
                    shutil.rmtree(place.folder / ".scratch", ignore_errors=True)
                return WorkflowResult(name, status, tuple(engine.ended), place.folder)
    except (OSError, ExceptionGroup) as error:
        raise _unwritable(place.folder, error) from None


@contextlib.contextmanager
def _alone(place: Place, name: str) -> Iterator[None]:
    """Be the only runner of this run; raises TryAgain when there is another one."""
    lock = try_lock(place.locks, f"run {name}", place.mark)
    if not isinstance(lock, Lock):
        raise TryAgain(f"run {name} is going on in another process; follow it with `slipway logs {name} -f`")
    try:
        yield
    finally:
        lock.release()


def _past(place: Place, identity: Mapping[str, Any]) -> Past:
    """What the journal says; raises Rejected when it is that of another template or of other parameters."""
    past = read_journal(place.folder / "journal.jsonl")
    if past.identity not in (None, identity):
        difference = _difference(past.identity or {}, identity)
        raise Rejected(f"run {place.folder.name} has begun with {difference}; give a new run another --name")
    return past


def _unwritable(folder: Path, error: Exception) -> Exception:
    """TryAgain for a folder that cannot be written, also where it comes from several tasks at once."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, OSError):
        return error
    return TryAgain(
        f"{folder} cannot be written ({error.strerror}); free space, then run it again: it goes on from here"
    )


def is_name(text: str) -> bool:
    """Whether a run may be called that."""
    return _RUN.fullmatch(text) is not None


def identify(manifest: Manifest, content: bytes, parameters: Mapping[str, str]) -> dict[str, Any]:
    """What makes two runs the same: the template's name, its bytes and the parameters."""
    return {
        "template": manifest.metadata.name,
        "manifest": hashlib.sha256(content).hexdigest(),
        "parameters": dict(parameters),
    }


def _difference(past: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    if past["manifest"] != now["manifest"]:
        return "another version of the template"
    changed = [key for key, value in now["parameters"].items() if past["parameters"].get(key) != value]
    return f"another value of {', '.join(changed)}"


def _begin(place: Place, past: Past, identity: Mapping[str, Any]) -> Journal:
    """The journal, with the fact that this process goes on from `past`."""
    place.folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(place.folder / "journal.jsonl")
    if past.identity is None:
        past.started = time.time()
        journal.write("run", identity=identity, started=past.started)
        prune(place.folder.parent)
        return journal
    # Steps of a runner that was killed must have ended before theirs run again.
    kill_marked(place.any_mark)
    shutil.rmtree(place.folder / ".scratch", ignore_errors=True)
    past.resume()
    journal.write("resume")
    return journal


def _teller(on_event: Callable[[Event], None] | None) -> Tell:
    def tell(node: str, state: State, text: str, seconds: float | None) -> None:
        if on_event is not None:
            on_event(Event(datetime.now(UTC), node, state, text, seconds))

    return tell


async def _until_stopped(engine: Engine, manifest: Manifest, workflow: dict[str, str]) -> Status:
    main = asyncio.ensure_future(_whole(engine, manifest, workflow))
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, main.cancel)
    try:
        return await main
    except asyncio.CancelledError:
        return "Stopped"


def _workflow_values(manifest: Manifest, parameters: Mapping[str, str], name: str, started: float) -> dict[str, str]:
    return {
        "workflow.name": name,
        "workflow.namespace": str(manifest.metadata.namespace or "default"),
        "workflow.uid": hashlib.sha256(f"{name} {started}".encode()).hexdigest()[:32],
        "workflow.creationTimestamp": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        **{f"workflow.parameters.{key}": value for key, value in parameters.items()},
    }


async def _whole(engine: Engine, manifest: Manifest, values: dict[str, str]) -> Status:
    began = time.monotonic()
    spec = manifest.spec
    result = await engine.run("", spec.entrypoint, {}, values)
    status = _status(result)
    if spec.on_exit is None:
        return status
    failures = [_failure(node) for node in engine.ended if node.failed]
    at_exit = {
        "workflow.status": status,
        # Quoted once more, as Argo does it.
        "workflow.failures": json.dumps(json.dumps(failures, ensure_ascii=False), ensure_ascii=False),
        "workflow.duration": f"{time.monotonic() - began:.6f}",
    }
    handled = await engine.run(ON_EXIT, spec.on_exit, {}, {**values, **at_exit})
    return _status(handled) if status == "Succeeded" else status


def _status(result: NodeResult) -> Status:
    if result.phase in ("Failed", "Error"):
        return result.phase
    return "Succeeded"


def _failure(node: NodeResult) -> dict[str, str]:
    return {
        "displayName": node.id,
        "message": node.message,
        "templateName": node.template,
        "phase": node.phase,
        "podName": node.id,
        "finishedAt": datetime.now(UTC).isoformat(timespec="seconds"),
    }
