"""Small served models whose answers can be worked out by hand: a picture, a row, two inputs, a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper

from gitops.bump import bump
from hera_workflows.settings import Platform
from slipway.manifest import DataSummary, Validation
from slipway.operation import Operation
from slipway.spec import ModelSpec, Serving
from slipway.verdict import Outcome
from slipway.version import ModelVersion
from triton_repo.bundle import Draft, candidate_files, publish
from triton_repo.config import Signature, Tensor
from triton_repo.golden import Golden
from triton_repo.hashing import copy_and_hash
from triton_repo.runtime import model_files
from triton_repo.runtime.text_pipeline import RESERVED, TextPipeline
from triton_repo.store import open_store

TAGS = ("O", "B-PER", "I-PER", "B-LOC")
WORDS = ("ada", "keller", "oslo")  # of the classes 1, 2 and 3


@dataclass(frozen=True)
class Toy:
    """What is published under `name`."""

    name: str
    task: str
    nodes: Sequence[Any]
    inputs: Sequence[tuple[Tensor, int]]  # and the ONNX type
    output: Tensor
    golden: Golden
    constants: dict[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    text: TextPipeline | None = None

    def onnx(self) -> bytes:
        value = helper.make_tensor_value_info
        tokens = ["tokens"] if self.text else []
        inputs = [value(t.name, kind, ["batch", *(tokens or t.dims)]) for t, kind in self.inputs]
        answer = "y" if self.text else self.output.name
        sizes = ["batch", *tokens, *(self.constants["table"].shape[1:] if self.text else self.output.dims)]
        arrays = [onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in self.constants.items()]
        graph = helper.make_graph(list(self.nodes), "toy", inputs, [value(answer, T.FLOAT, sizes)], arrays)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


def light_or_dark(name: str, tensor: Tensor, kind: int, white: float, golden: np.ndarray) -> Toy:
    """[mean, 1 - mean] of a picture's pixels as the probabilities of light and dark; white is 1."""
    nodes = [
        helper.make_node("Cast", [tensor.name], ["numbers"], to=T.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Div", ["mean", "white"], ["light"]),
        helper.make_node("Sub", ["one", "light"], ["dark"]),
        helper.make_node("Unsqueeze", ["light", "axis"], ["first"]),
        helper.make_node("Unsqueeze", ["dark", "axis"], ["second"]),
        helper.make_node("Concat", ["first", "second"], ["probabilities"], axis=1),
    ]
    constants = {"white": np.float32(white), "one": np.float32(1), "axis": np.array([1])}
    answer = np.full((len(golden), 2), 0.5, np.float32)
    return Toy(
        name, "binary-classification", nodes, [(tensor, kind)], Tensor("probabilities", "FP32", (2,)),
        Golden({tensor.name: golden}, {"probabilities": answer}), constants, ("light", "dark"),
    )  # fmt: skip


def toys() -> list[Toy]:
    grey = Tensor("image", "FP32", (1, 8, 8))
    ground = np.zeros((3, 1, 8, 8), np.float32)
    ground[:, :, 2:6, 2:6] = 1
    colour = Tensor("image", "UINT8", (4, 6, 3))
    table = np.eye(4, dtype=np.float32)[[0, 0, 0, 1, 2, 3]]
    number = Tensor("x", "FP32", (1,))
    pair = (Tensor("width", "FP32", (1,)), Tensor("height", "FP32", (1,)))
    one = np.ones((2, 1), np.float32)
    return [
        light_or_dark("digits", grey, T.FLOAT, 1, ground),
        light_or_dark("colours", colour, T.UINT8, 255, np.full((2, 4, 6, 3), 127, np.uint8)),
        Toy(
            "line", "regression", [helper.make_node("Mul", ["x", "two"], ["prediction"])], [(number, T.FLOAT)],
            Tensor("prediction", "FP32", (1,)), Golden({"x": one}, {"prediction": 2 * one}), {"two": np.float32(2)},
        ),
        Toy(
            "area", "regression", [helper.make_node("Mul", ["width", "height"], ["prediction"])],
            [(tensor, T.FLOAT) for tensor in pair], Tensor("prediction", "FP32", (1,)),
            Golden({"width": one, "height": one}, {"prediction": one}),
        ),
        Toy(
            "names", "token-classification", [helper.make_node("Gather", ["table", "text"], ["y"])],
            [(Tensor("text", "BYTES", (1,)), T.INT64)], Tensor("entities", "BYTES", (1,)),
            Golden({"text": np.array([[b"in oslo"]])}, {"entities": np.array([[b"[]"]])}),
            {"table": table}, TAGS, TextPipeline((*RESERVED, *WORDS), TAGS, 200),
        ),
    ]  # fmt: skip


def publish_toy(platform: Platform, toy: Toy, scratch: Path) -> ModelVersion:
    """Publish it and release it to staging."""
    folder = scratch / toy.name
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.onnx").write_bytes(toy.onnx())
    if toy.text is not None:
        toy.text.write(folder / "model" / "text.json")
    for name, content in model_files("python", text=toy.text is not None).items():
        (folder / "model" / name).write_bytes(content)
    toy.golden.save(folder / "golden.npz")
    seen = {}
    for path in candidate_files(folder):
        with (folder / path).open("rb") as file:
            seen[path] = copy_and_hash(file)
    classes = list(toy.classes) if toy.classes else None
    draft = Draft(
        name=toy.name,
        created=datetime(2026, 1, 2, tzinfo=UTC),
        source_commit="a" * 40,
        operation_id=f"publish/{toy.name}",
        run="run-1",
        spec=ModelSpec(name=toy.name, task=toy.task, classes=classes, serving=Serving(max_batch=4)),
        data=DataSummary(digest="sha256:" + "0" * 64, counts={"test": 2}),
        training={},
        validation=Validation(outcome=Outcome.PASS, checks=[], metrics={}, files=seen),
        tools={},
    )
    signature = Signature(tuple(tensor for tensor, _ in toy.inputs), (toy.output,))
    store = open_store(str(platform.store))
    version = publish(store, draft, folder, platform.signing_key, signature=signature)
    bump(str(platform.env_repo), version, Operation(f"bump/{toy.name}", "bump", "staging", version))
    return version
