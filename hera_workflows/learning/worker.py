"""The one process that runs people's code: train a model, or try its model.py for `slipway check`.

Started by `run_contained` with a job as JSON; whatever happens, it writes one result, unless people's code kills it.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from hera_workflows.learning import dataset, people
from hera_workflows.learning.contained import die_with_parent
from hera_workflows.learning.dataset import Split
from hera_workflows.learning.datasets import Fetched, open_sets
from hera_workflows.learning.splits import class_counts, read_splits, slice_counts
from hera_workflows.learning.tasks import load_task
from hera_workflows.learning.trained import TRAINING_JSON, Trained
from hera_workflows.learning.warm_start import read_start
from slipway.errors import Rejected, SlipwayError, of_disk
from slipway.manifest import DataSetEntry, DataSummary
from slipway.spec import ModelSpec

__all__ = ["Job", "Result", "check", "main", "train"]

_TOOLS = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy", "scikit-learn", "safetensors")


class Job(BaseModel):
    """What to do, and where."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["train", "check"]
    root: Path  # the source tree; shared code is imported from here
    file: Path  # model.py
    spec: ModelSpec
    result: Path  # where the result is written
    commit: str = ""
    output: Path | None = None  # the train/ folder, which must not exist yet
    checkpoints: Path | None = None
    sets: dict[str, Fetched] = {}  # the data sets of model.yaml, as they lie in the cache
    start: Path | None = None  # what the `start` step left, when training begins from the champion
    kill_at: str | None = None  # tests: end by kill -9 at this named point


class Result(BaseModel):
    """How the job ended; `code` is an exit code of slipway.errors, 0 when all went well."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: int
    problems: list[str] = []


def check(job: Job) -> None:
    """Import model.py and look at every split; raises Rejected with every problem found, one a line."""
    read_splits(job.spec, job.file, job.root, open_sets(job.sets), lambda _, __: None)


def train(job: Job) -> None:
    """Train, export, and write the train/ folder by one rename."""
    assert job.output is not None
    assert job.checkpoints is not None
    import torch

    from hera_workflows.learning.context import Context
    from hera_workflows.learning.export import export

    at = _killer(job.kill_at)
    task, parts = load_task(job.spec.task), {}
    digests: dict[str, str] = {}
    classes: dict[str, dict[str, int]] = {}

    def keep(name: str, split: Split) -> None:
        classes[name] = class_counts(split, job.spec)
        digests[name] = dataset.digest({name: split})
        parts[name] = len(split)
        if name == "test":
            kept.append(split)

    kept: list[Split] = []
    sets = open_sets(job.sets)
    fit = read_splits(job.spec, job.file, job.root, sets, keep)
    test = kept[0]
    at("data-read")
    params = job.spec.train
    warm = read_start(job.start) if job.start else None
    marks = [job.commit, params.model_dump(mode="json", include={"params", "seed"})]
    identity = json.dumps([*marks, warm.start.digest] if warm else marks, sort_keys=True)
    context = Context(
        params=params.params, seed=params.seed, checkpoint_dir=job.checkpoints, identity=identity, at=at,
        sets=sets, warm=warm,
    )  # fmt: skip
    begin = time.monotonic()
    module = people.call(lambda: fit(context), "train(ctx)", job.file, job.root)
    seconds = time.monotonic() - begin
    if not isinstance(module, torch.nn.Module):
        raise Rejected(f"{job.file.name}: train(ctx) returned {type(module).__name__}; return the trained torch module")
    start = warm.record() if warm else None
    at("trained")
    staging = job.output.with_name(f".{job.output.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    signature = people.call(
        lambda: export(module, task, test, job.spec, staging), "the trained module", job.file, job.root
    )
    at("exported")
    dataset.write_split(test, staging / "test")
    trained = Trained(
        spec=job.spec,
        source_commit=job.commit,
        data=DataSummary(
            digest=_whole(digests),
            counts=parts,
            classes=classes["test"],
            classes_by_split={name: counts for name, counts in classes.items() if counts},
            slices=slice_counts(test),
            sets={
                name: DataSetEntry(url=each.url, format=each.format, digest=each.digest, size=each.size)
                for name, each in job.sets.items()
            },
        ),
        training={
            "seconds": round(seconds, 3),
            "device": _device(context.device),
            "epochs": context.epochs_total,
            "seed": params.seed,
            "parameters": sum(p.numel() for p in module.parameters()),
            "loss": context.curve[-1][1] if context.curve else None,
            "curve": context.curve,
            "from": start,
        },
        tools={"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in _TOOLS},
        signature=signature.to_json(),
    )
    (staging / TRAINING_JSON).write_text(trained.model_dump_json(indent=2) + "\n")
    at("written")
    for path in staging.rglob("*"):
        if path.is_file():
            path.chmod(0o644)  # the next step may run as another user
            _sync(path)
    staging.rename(job.output)
    _sync(job.output.parent)
    at("renamed")


def _whole(digests: dict[str, str]) -> str:
    import hashlib

    return "sha256:" + hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def _device(device: Any) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _killer(point: str | None) -> Callable[[str], None]:
    import signal

    def at(reached: str) -> None:
        if reached == point:
            os.kill(os.getpid(), signal.SIGKILL)

    return at


def _told(error: SlipwayError) -> Result:
    # JSON has no place for a file's name that is not UTF-8.
    text = str(error).encode(errors="backslashreplace").decode()
    return Result(code=error.exit_code, problems=text.splitlines())


def main(path: str) -> None:
    """Do the job in the file `path` and write its result."""
    die_with_parent()
    sys.dont_write_bytecode = True
    job = Job.model_validate_json(Path(path).read_bytes())
    try:
        {"train": train, "check": check}[job.kind](job)
        result = Result(code=0)
    except SlipwayError as error:
        result = _told(error)
    except OSError as error:
        if (told := of_disk(error)) is None:
            raise
        result = _told(told)
    job.result.write_text(result.model_dump_json())
    sys.stdout.flush()
    # Threads and exit handlers of people's code must not hold the process after its result is written.
    os._exit(result.code)


if __name__ == "__main__":
    main(sys.argv[1])
