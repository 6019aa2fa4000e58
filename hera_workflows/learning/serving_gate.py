"""Does a real, cold Triton serve exactly these bytes, and answer as PyTorch did?"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hera_workflows.learning.trained import Trained
from slipway.errors import Rejected, TryAgain
from slipway.manifest import FileEntry
from slipway.spec import Serving
from slipway.verdict import Check, Verdict

if TYPE_CHECKING:
    from triton_repo.golden import Golden
    from triton_repo.replay import Measurement
    from triton_repo.runtime import Backend

__all__ = ["Served", "serve_candidate"]

LIVE_SECONDS = 60.0
LOAD_SECONDS = 120.0
CRASH_SECONDS = 10.0
REQUESTS = 200  # measured for latency, after as many answers were compared
CLIENTS = 4


@dataclass(frozen=True, slots=True)
class Served:
    """What was seen of the cold-started server."""

    checks: list[Check]
    files: dict[str, FileEntry]  # of the candidate folder: what the server loaded, and the golden requests
    latencies_ms: tuple[float, ...]  # batch 1, one client
    p95_ms: float | None
    throughput: float | None  # inferences a second, full batches


def serve_candidate(trained: Trained, candidate: Path, backend: Backend, number: int) -> Served:
    """Start Triton on a copy of `candidate`/model as version `number`, ask it, and stop it.

    A model that does not load or answers wrongly is a FAIL check. Raises TryAgain when Triton itself does not start.
    """
    from triton_repo.config import Signature, render_config
    from triton_repo.control import TritonControl
    from triton_repo.golden import load_golden
    from triton_repo.server import start_triton

    model, serving = trained.spec.name, trained.spec.serving
    golden = load_golden(candidate / "golden.npz")
    signature = Signature.from_json(trained.signature)
    config = render_config(model, number, signature, serving, backend, golden)
    with tempfile.TemporaryDirectory(prefix="slipway-serve-") as folder:
        repository = Path(folder) / "repository"
        files = _lay_out(candidate, repository / model / str(number))
        (repository / model / "config.pbtxt").write_text(config)
        triton = start_triton(repository, Path(folder) / "run", secret=None, timeout=LIVE_SECONDS)
        try:
            with TritonControl(triton.grpc_address, None) as control:
                try:
                    control.load(model, timeout=LOAD_SECONDS)
                except Rejected as error:
                    return _refused(f"Triton does not load it: {_line(error)}", files)
                except TryAgain:
                    if not triton.ends(CRASH_SECONDS):
                        raise
                    # Seen with warm-up requests that fail: about every third time Triton crashes instead of refusing.
                    # Such bytes would take down a server that serves others.
                    log = triton.log.read_text(errors="replace").splitlines()
                    words = next((line for line in log if line.startswith("Signal")), "killed")
                    return _refused(f"Triton does not survive loading it ({words})", files)
                if not control.ready(model, number):
                    raise TryAgain(f"Triton loaded {model} but version {number} is not READY; run validate again")
            addresses = {"grpc": triton.grpc_address, "http": f"127.0.0.1:{triton.ports.http}"}
            checks = _compare(addresses, model, number, golden, serving)
            one, full = _measure(addresses["grpc"], model, number, golden, serving)
        finally:
            triton.stop(0)  # every request is answered, and unloading in order takes it two seconds
    checks += _latency(one, serving)
    return Served(checks, files, one.latencies_ms, one.p95_ms, full.throughput)


def _refused(reason: str, files: dict[str, FileEntry]) -> Served:
    return Served([_check("serves", reason, None)], files, (), None, None)


def _lay_out(candidate: Path, target: Path) -> dict[str, FileEntry]:
    """Copy what Triton loads, and write down what was copied."""
    from triton_repo.hashing import copy_and_hash

    files = {}
    for source in sorted((candidate / "model").rglob("*")):
        if source.is_file():
            path = target / source.relative_to(candidate / "model")
            path.parent.mkdir(parents=True, exist_ok=True)
            with source.open("rb") as reader, path.open("wb", buffering=0) as writer:
                files[f"model/{source.relative_to(candidate / 'model').as_posix()}"] = copy_and_hash(reader, writer)
    with (candidate / "golden.npz").open("rb") as reader:
        files["golden.npz"] = copy_and_hash(reader)
    return files


def _compare(addresses: dict[str, str], model: str, number: int, golden: Golden, serving: Serving) -> list[Check]:
    from triton_repo.replay import replay

    checks = []
    for protocol, address in addresses.items():
        for batch in sorted({1, serving.max_batch}):
            count = len(golden) if batch == 1 else max(4, -(-len(golden) // batch))
            seen = replay(
                address, model, number, golden, count, serving.tolerance,
                protocol="grpc" if protocol == "grpc" else "http", batch=batch, timeout_s=60.0,
            )  # fmt: skip
            bad = seen.failed + seen.mismatched
            reason = (
                f"{count} requests of batch {batch} over {protocol.upper()}: {seen.failed} failed, "
                f"{seen.mismatched} differ from PyTorch by more than {serving.tolerance:g}"
            )
            checks.append(_check(f"serves {protocol} batch {batch}", reason, bad == 0))
    return checks


def _measure(
    address: str, model: str, number: int, golden: Golden, serving: Serving
) -> tuple[Measurement, Measurement]:
    from triton_repo.replay import measure

    one = measure(address, model, number, golden, REQUESTS, batch=1)
    batches = max(8, min(REQUESTS, 4096 // serving.max_batch))
    full = measure(address, model, number, golden, batches, batch=serving.max_batch, timeout_s=60.0, at_once=CLIENTS)
    return one, full


def _latency(one: Measurement, serving: Serving) -> list[Check]:
    if serving.p95_ms is None:
        return []
    if one.p95_ms is None:
        return [Check(name="p95_ms", verdict=Verdict.NO_DATA, reason="no request was answered")]
    good = serving.p95_ms.met_by(one.p95_ms)
    return [
        Check(
            name="p95_ms",
            verdict=Verdict.PASS if good else Verdict.FAIL,
            reason=f"{one.p95_ms:.3g} ms for batch 1 on this machine; {serving.p95_ms} needed",
            value=one.p95_ms,
            threshold=str(serving.p95_ms),
        )
    ]


def _check(name: str, reason: str, good: bool | None) -> Check:
    return Check(name=name, verdict=Verdict.PASS if good else Verdict.FAIL, reason=reason)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
