"""What an ONNX model answers, batch by batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, save

from hera_workflows.learning.inference import open_session, predict


def test_answers_whose_shape_depends_on_the_batch_are_not_put_together(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "n"])
    nodes = [helper.make_node("Transpose", ["x"], ["t"]), helper.make_node("MatMul", ["x", "t"], ["y"])]
    graph = helper.make_graph(nodes, "each with each", [x], [y])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "m.onnx")
    session = open_session(tmp_path / "m.onnx")
    assert predict(session, {"x": np.ones((3, 2), np.float32)}, batch=2).shape == (1, 1)
