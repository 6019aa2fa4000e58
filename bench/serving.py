"""What does serving cost: the real Triton over gRPC against ONNX Runtime called directly in one process?

    python bench/serving.py                       # the five of `make demo-all`
    python bench/serving.py FOLDER…               # candidate folders, as validate leaves them
    python bench/serving.py .slipway/workspace/*/cifar10

FOLDER holds `train/` and `candidate/` of one run. Both ways use the CPUs of this machine and get the same full batches
of the version's golden requests; ONNX Runtime gets them in the better of two ways, one caller with all threads or a
caller for each CPU. The median of `--runs` runs counts. Also shown: the p99 of single requests from one client.
The aim: at least 0.7 of ONNX Runtime's throughput at saturation.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import numpy as np

CLIENTS = 4


def direct(candidate: Path, batch: int, count: int) -> tuple[float, float]:
    """(samples a second in full batches, p99 in ms of single requests) of ONNX Runtime, set up in the better way."""
    from hera_workflows.learning.inference import open_session
    from triton_repo.golden import load_golden

    golden, model = load_golden(candidate / "golden.npz"), candidate / "model" / "model.onnx"
    rows = {name: np.resize(array, (batch, *array.shape[1:])) for name, array in golden.inputs.items()}
    one = {name: array[:1] for name, array in rows.items()}
    cpus, rates = len(os.sched_getaffinity(0)), []
    for callers, threads in ((1, cpus), (cpus, 1)):
        session = open_session(model, threads)
        session.run(None, rows)
        begin = time.perf_counter()
        with ThreadPoolExecutor(callers) as pool:
            list(pool.map(lambda _, session=session: session.run(None, rows), range(count)))
        rates.append(batch * count / (time.perf_counter() - begin))
    session, latencies = open_session(model), []
    for _ in range(200):
        start = time.perf_counter()
        session.run(None, one)
        latencies.append(1000 * (time.perf_counter() - start))
    return max(rates), float(np.percentile(latencies, 99))


def served(train: Path, candidate: Path, count: int) -> tuple[float, float]:
    """The same through Triton."""
    from hera_workflows.learning.trained import read_trained
    from triton_repo.config import Signature, render_config
    from triton_repo.control import TritonControl
    from triton_repo.golden import load_golden
    from triton_repo.replay import measure
    from triton_repo.server import start_triton

    trained, golden = read_trained(train), load_golden(candidate / "golden.npz")
    model, serving = trained.spec.name, trained.spec.serving
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as scratch:
        repository = Path(scratch) / "repository"
        (repository / model).mkdir(parents=True)
        (repository / model / "1").symlink_to((candidate / "model").absolute())
        backend = "python" if (candidate / "model" / "model.py").exists() else "onnxruntime"
        config = render_config(model, 1, Signature.from_json(trained.signature), serving, backend, golden)
        (repository / model / "config.pbtxt").write_text(config)
        triton = start_triton(repository, Path(scratch) / "run", secret=None, timeout=60)
        try:
            with TritonControl(triton.grpc_address, None) as control:
                control.load(model, timeout=120)
            address = triton.grpc_address
            measure(address, model, 1, golden, 4, batch=serving.max_batch, timeout_s=60, at_once=CLIENTS)
            full = measure(address, model, 1, golden, count, batch=serving.max_batch, timeout_s=60, at_once=CLIENTS)
            one = measure(address, model, 1, golden, 200, batch=1, timeout_s=60)
        finally:
            triton.stop()
    return full.throughput, float(np.percentile(one.latencies_ms, 99))


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--requests", default=50, show_default=True, help="Full batches a run.")
@click.option("--runs", default=3, show_default=True)
def main(folders: tuple[Path, ...], requests: int, runs: int) -> None:
    """Print samples a second and p99 of both ways for each FOLDER."""
    from hera_workflows.learning.trained import read_trained

    # What `make demo-all` leaves behind.
    folders = folders or tuple(p.parent for p in sorted(Path(".demo/project/.slipway/workspace").glob("*/*/candidate")))
    if not folders:
        raise click.UsageError(
            "no run is here; run `make demo-all` first, or give folders: .slipway/workspace/*/digits"
        )
    for folder in folders:
        spec = read_trained(folder / "train").spec
        if (folder / "candidate" / "model" / "text.json").is_file():
            click.echo(f"{spec.name:<12} takes text, which ONNX Runtime alone does not: not measured")
            continue
        results: dict[str, list[tuple[float, float]]] = {"direct": [], "triton": []}
        for _ in range(runs):
            results["direct"].append(direct(folder / "candidate", spec.serving.max_batch, requests))
            results["triton"].append(served(folder / "train", folder / "candidate", requests))
        (a, p), (b, q) = (tuple(map(statistics.median, zip(*results[way], strict=True))) for way in results)
        click.echo(
            f"{spec.name:<12} batch {spec.serving.max_batch:>3}  direct {a:9.0f}/s p99 {p:6.2f} ms   "
            f"triton {b:9.0f}/s p99 {q:6.2f} ms   ratio {b / a:.2f} (aim: >= 0.7)"
        )


if __name__ == "__main__":
    main()
