"""What does serving cost: the real Triton over gRPC against ONNX Runtime called directly in one process?

    python bench/serving.py                       # the five of `make demo-all`
    python bench/serving.py FOLDER…               # candidate folders, as validate leaves them
    python bench/serving.py .slipway/workspace/*/cifar10

FOLDER holds `train/` and `candidate/` of one run. Both ways use the CPUs of this machine, clients included, and get the
same full batches (serving.max_batch) of the version's golden requests, each in the better of two ways: ONNX Runtime
with one caller and all threads or a caller for each CPU, Triton with as many clients as CPUs or twice as many. A model
of text is called with its text pipeline in both ways. The ceiling is the same server and clients with a model that
computes nothing and answers at once. All take turns; medians count. Also shown: the p99 of single requests from one
client. The aim: at least 0.7 of ONNX Runtime's throughput.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import numpy as np
from _clients import Arrays, latencies, saturate

SINGLE = 200  # requests of one row, in each run
CPUS = len(os.sched_getaffinity(0))
EMPTY = """
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        with np.load(Path(args["model_repository"], args["model_version"], "answers.npz"), allow_pickle=True) as file:
            self.answers = dict(file)

    def execute(self, requests):
        counts = [len(request.inputs()[0].as_numpy()) for request in requests]
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor(name, a[:count]) for name, a in self.answers.items()])
            for count in counts
        ]
"""


def samples(candidate: Path, rows: int) -> tuple[Arrays, Arrays]:
    """(inputs, answers) of `rows` golden requests, round and round; text as objects, as the server has it."""
    from triton_repo.golden import load_golden

    def wide(arrays: Arrays) -> Arrays:
        taken = {name: np.take(array, range(rows), 0, mode="wrap") for name, array in arrays.items()}
        return {name: a.astype(object) if a.dtype.kind == "S" else a for name, a in taken.items()}

    golden = load_golden(candidate / "golden.npz")
    return wide(golden.inputs), wide(golden.outputs)


def caller(model: Path, threads: int) -> Callable[[Arrays], Any]:
    """What answers a batch in this process."""
    from hera_workflows.learning.inference import open_session
    from triton_repo.runtime.text_pipeline import TEXT_JSON, TextPipeline

    session = open_session(model / "model.onnx", threads)
    if not (model / TEXT_JSON).is_file():
        return lambda feed: session.run(None, feed)
    pipeline = TextPipeline.read(model / TEXT_JSON)

    def tag(feed: Arrays) -> Any:
        ((name, rows),) = feed.items()
        texts = pipeline.texts(rows)
        (probabilities,) = session.run(None, {name: pipeline.encode(texts)})
        return [entities.encode() for entities in pipeline.decode(texts, probabilities)]

    return tag


def direct(call: Callable[[Arrays], Any], feed: Arrays, callers: int, seconds: float) -> float:
    """Rows a second."""
    call(feed)
    begin = time.perf_counter()

    def work(_: int) -> int:
        done = 0
        while time.perf_counter() - begin < seconds:
            call(feed)
            done += 1
        return done

    with ThreadPoolExecutor(callers) as pool:
        batches = sum(pool.map(work, range(callers)))
    return batches * len(next(iter(feed.values()))) / (time.perf_counter() - begin)


def alone(call: Callable[[Arrays], Any], feed: Arrays) -> list[float]:
    """Milliseconds of single requests."""
    one, found = {name: array[:1] for name, array in feed.items()}, []
    for _ in range(SINGLE):
        begin = time.perf_counter()
        call(one)
        found.append(1000 * (time.perf_counter() - begin))
    return found


def lay_out(folder: Path, repository: Path) -> tuple[str, str, int]:
    """Write the version and its empty counterpart as Triton wants them: (name, name of the empty one, max_batch)."""
    from hera_workflows.learning.trained import read_trained
    from triton_repo.config import Signature, render_config
    from triton_repo.golden import load_golden

    trained, candidate = read_trained(folder / "train"), folder / "candidate"
    name, serving, golden = trained.spec.name, trained.spec.serving, load_golden(candidate / "golden.npz")
    empty = f"{name[:50]}-empty"
    for model in (name, empty):
        (repository / model).mkdir(parents=True)
        python = model == empty or (candidate / "model" / "model.py").exists()
        signature = Signature.from_json(trained.signature)
        config = render_config(model, 1, signature, serving, "python" if python else "onnxruntime", golden)
        (repository / model / "config.pbtxt").write_text(config)
    (repository / name / "1").symlink_to((candidate / "model").absolute())
    (repository / empty / "1").mkdir()
    (repository / empty / "1" / "model.py").write_text(EMPTY)
    np.savez(repository / empty / "1" / "answers.npz", **samples(candidate, serving.max_batch)[1])
    return name, empty, serving.max_batch


def compare(folder: Path, runs: int, seconds: float) -> str:
    """One line: both ways, the ceiling, and p99 of single requests."""
    from triton_repo.control import TritonControl
    from triton_repo.server import start_triton

    rates: dict[tuple[str, int], list[float]] = defaultdict(list)
    times: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as scratch:
        name, empty, batch = lay_out(folder, Path(scratch) / "repository")
        feed, answers = samples(folder / "candidate", batch)
        calls = {1: caller(folder / "candidate" / "model", CPUS), CPUS: caller(folder / "candidate" / "model", 1)}
        triton = start_triton(Path(scratch) / "repository", Path(scratch) / "run", secret=None, timeout=60)
        try:
            with TritonControl(triton.grpc_address, None) as control:
                control.load(name, timeout=120), control.load(empty, timeout=120)
            for _ in range(runs):
                for callers, call in calls.items():
                    rates["direct", callers].append(direct(call, feed, callers, seconds))
                for clients in (CPUS, 2 * CPUS):
                    for way, model in (("triton", name), ("ceiling", empty)):
                        rate = saturate(triton.grpc_address, model, feed, answers, clients, seconds)
                        rates[way, clients].append(rate)
                times["direct"] += alone(calls[1], feed)
                times["triton"] += latencies(triton.grpc_address, name, feed, answers, SINGLE)
        finally:
            triton.stop()
    best = {
        way: max(statistics.median(found) for (each, _), found in rates.items() if each == way)
        for way in ("direct", "triton", "ceiling")
    }
    p99 = {way: float(np.percentile(found, 99)) for way, found in times.items()}
    return (
        f"{name:<10} batch {batch:>4}  direct {best['direct']:>9.0f}/s  triton {best['triton']:>8.0f}/s  "
        f"ratio {best['triton'] / best['direct']:.2f} (aim: >= 0.7)  ceiling {best['ceiling']:>8.0f}/s  "
        f"p99 of one: triton {p99['triton']:.2f} ms, direct {p99['direct']:.2f} ms"
    )


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--runs", default=5, show_default=True)
@click.option("--seconds", default=1.0, show_default=True, help="Of each way in each run.")
def main(folders: tuple[Path, ...], runs: int, seconds: float) -> None:
    """Print rows a second and p99 of both ways for each FOLDER."""
    # What `make demo-all` leaves behind.
    folders = folders or tuple(p.parent for p in sorted(Path(".demo/project/.slipway/workspace").glob("*/*/candidate")))
    if not folders:
        raise click.UsageError(
            "no run is here; run `make demo-all` first, or give folders: .slipway/workspace/*/digits"
        )
    for folder in folders:
        click.echo(compare(folder, runs, seconds))


if __name__ == "__main__":
    main()
