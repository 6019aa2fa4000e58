"""How fast is a large version published, against `cp` and `sha256sum` of the same bytes?

    python bench/publish.py                     # 10 GB
    python bench/publish.py --gigabytes 1 --folder /mnt/store

Each way is timed `--runs` times in turn, on a file of random bytes; the median counts. Publishing copies, hashes, signs
and ends when the version is on the disk, so `cp` is timed to that point too. The aim is 0.8 of the slower of the two,
in less than 200 MB of memory. Everything is removed at the end, Ctrl-C included; three times the size must be free.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import click


def make_candidate(folder: Path, size: int) -> None:
    """A candidate whose weights are `size` random bytes."""
    import numpy as np

    from triton_repo.golden import Golden

    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.onnx").write_bytes(b"not loaded here")
    ones = np.ones((1, 4), np.float32)
    Golden({"x": ones}, {"y": ones}).save(folder / "golden.npz")
    block = os.urandom(1 << 26)
    with (folder / "weights.safetensors").open("wb") as file:
        for start in range(0, size, len(block)):
            file.write(block[: min(len(block), size - start)])
        file.flush()
        os.fsync(file.fileno())


def publish_once(folder: Path, operation: str) -> None:
    """Publish the candidate and print seconds and peak memory in MB; run in a process of its own."""
    from slipway.manifest import DataSummary, Validation
    from slipway.spec import ModelSpec
    from slipway.verdict import Outcome
    from triton_repo.bundle import Draft, publish
    from triton_repo.hashing import copy_and_hash
    from triton_repo.signing import generate_keys
    from triton_repo.store import open_store

    candidate = folder / "candidate"
    generate_keys(folder / "signing.key", folder / "signing.pub")
    with (candidate / "model" / "model.onnx").open("rb") as file:
        seen = {"model/model.onnx": copy_and_hash(file)}
    draft = Draft(
        name="bench",
        created=datetime.now(UTC),
        source_commit="0" * 40,
        operation_id=operation,
        run="bench",
        spec=ModelSpec(name="bench", task="regression"),
        data=DataSummary(digest="sha256:" + "0" * 64, counts={}),
        training={},
        validation=Validation(outcome=Outcome.PASS, checks=[], metrics={}, files=seen),
        tools={},
    )
    store = open_store(str(folder / "store"))
    began = time.perf_counter()
    publish(store, draft, candidate, folder / "signing.key")
    seconds = time.perf_counter() - began
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak is not None
    print(seconds, int(peak[1]) / 1024)


def timed(*command: str | Path) -> float:
    """Seconds that a command takes."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


@click.command(help=__doc__)
@click.option("--gigabytes", default=10.0, show_default=True)
@click.option("--runs", default=3, show_default=True)
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Where to work; else the temp folder.")
@click.option("--once", hidden=True, help="Publish here, under this operation.")
def main(gigabytes: float, runs: int, folder: Path | None, once: str | None) -> None:
    """Print one line for each way."""
    if once is not None:
        assert folder is not None
        publish_once(folder, once)
        return
    size = int(gigabytes * 1e9)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the folder goes on a plain kill as well
    with tempfile.TemporaryDirectory(prefix="slipway-bench-", dir=folder) as name:
        work = Path(name)
        if shutil.disk_usage(work).free < 3 * size:
            raise click.UsageError(f"{work} has less than {3 * gigabytes:g} GB free; give another --folder")
        (work / "store").mkdir()
        make_candidate(work / "candidate", size)
        weights = work / "candidate" / "weights.safetensors"
        seconds: dict[str, list[float]] = {"cp, to the disk": [], "sha256sum": [], "publish": []}
        peaks: list[float] = []
        for run in range(runs):
            copied = timed("cp", weights, work / "copy")
            seconds["cp, to the disk"].append(copied + timed("sync", work / "copy"))
            (work / "copy").unlink()
            seconds["sha256sum"].append(timed("sha256sum", weights))
            command = [sys.executable, __file__, "--folder", str(work), "--once", f"bench-{run}"]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            seconds["publish"].append(float(out[0]))
            peaks.append(float(out[1]))
            shutil.rmtree(work / "store" / "bench")
        rates = {what: size / 1e6 / statistics.median(values) for what, values in seconds.items()}
        slower = min(rates["cp, to the disk"], rates["sha256sum"])
        click.echo(f"{gigabytes:g} GB, median of {runs}")
        for what, rate in rates.items():
            click.echo(f"{what:16} {rate:8.0f} MB/s   {rate / slower:5.2f} × the slower of cp and sha256sum")
        click.echo(f"{'peak memory':16} {max(peaks):8.0f} MB")


if __name__ == "__main__":
    main()
