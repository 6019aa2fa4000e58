"""Small real models and drafts for the tests of the store and of Triton."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from slipway.manifest import DataSummary, Validation
from slipway.spec import ModelSpec, Serving
from slipway.verdict import Outcome
from slipway.version import ModelVersion
from triton_repo.bundle import Draft, candidate_files, publish
from triton_repo.control import TritonControl
from triton_repo.golden import Golden
from triton_repo.hashing import copy_and_hash
from triton_repo.runtime import model_files
from triton_repo.server import RunningTriton
from triton_repo.store import ModelStore

SECRET = "a-secret-of-the-tests"
COMMIT = "a" * 40
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def onnx_model(scale: float) -> bytes:
    """y = scale * x, with rows of four numbers."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "scale"], ["y"])],
        "toy",
        [value("x", TensorProto.FLOAT, ["batch", 4])],
        [value("y", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor("scale", TensorProto.FLOAT, [1], [scale])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def golden(scale: float) -> Golden:
    """Ten requests and their answers."""
    x = np.arange(40, dtype=np.float32).reshape(10, 4)
    return Golden({"x": x}, {"y": x * np.float32(scale)})


def make_candidate(folder: Path, scale: float = 2.0, model: bytes | None = None, code: bytes | None = None) -> Path:
    """A candidate as validation leaves it; `model` replaces model.onnx, `code` model.py."""
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.onnx").write_bytes(onnx_model(scale) if model is None else model)
    for name, content in model_files("python").items():
        (folder / "model" / name).write_bytes(code or content)
    golden(scale).save(folder / "golden.npz")
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "report.html").write_text("<p>fine</p>")
    return folder


def make_draft(folder: Path, name: str = "toy", operation_id: str = "op-1") -> Draft:
    """The draft that goes with a candidate."""
    seen = {}
    for path in candidate_files(folder):
        if path.startswith("model/"):
            with (folder / path).open("rb") as file:
                seen[path] = copy_and_hash(file)
    return Draft(
        name=name,
        created=NOW,
        source_commit=COMMIT,
        operation_id=operation_id,
        run="run-1",
        spec=ModelSpec(name=name, task="regression", serving=Serving(max_batch=8)),
        data=DataSummary(digest="sha256:" + "0" * 64, counts={"test": 10}),
        training={"seconds": 1.5},
        validation=Validation(outcome=Outcome.PASS, checks=[], metrics={}, files=seen),
        tools={"numpy": np.__version__},
    )


def again(draft: Draft, **changes: object) -> Draft:
    """The draft with some fields changed."""
    return dataclasses.replace(draft, **changes)  # type: ignore[arg-type]


def killer(point: str) -> Callable[[str], None]:
    """A callback that ends this process at one named point as kill -9 does."""

    def at(reached: str) -> None:
        if reached == point:
            os.kill(os.getpid(), signal.SIGKILL)

    return at


@dataclass(frozen=True)
class Keys:
    private: Path
    public: Path


@dataclass(frozen=True)
class Shop:
    """A store with something to publish into it, and a server to serve from it."""

    store: ModelStore
    keys: Keys
    folder: Path
    triton: RunningTriton
    control: TritonControl

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    def publish(
        self, scale: float, name: str = "toy", model: bytes | None = None, code: bytes | None = None
    ) -> ModelVersion:
        operation = f"op-{name}-{self.store.next_number(name)}"
        candidate = make_candidate(self.folder / operation, scale, model, code)
        return publish(self.store, make_draft(candidate, name, operation), candidate, self.keys.private)
