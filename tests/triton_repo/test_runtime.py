"""The python backend runs a dynamic batch as one, and keeps one request's error from the others."""

from __future__ import annotations

import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from triton_toys import Shop, golden, make_candidate, make_draft

from slipway.errors import Rejected
from triton_repo.ask import ask
from triton_repo.bundle import publish
from triton_repo.golden import Golden
from triton_repo.replay import replay
from triton_repo.runtime import model_files
from triton_repo.runtime.text_pipeline import RESERVED, TextPipeline
from triton_repo.serving import serve


def table_lookup() -> bytes:
    """y = table[int(x)] for x in 0…9; anything else is an error of ONNX Runtime."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "index"], ["y"]),
        ],
        "lookup",
        [value("x", TensorProto.FLOAT, ["batch", 4])],
        [value("y", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor("table", TensorProto.FLOAT, [10], [10.0 * i for i in range(10)])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def test_a_bad_request_gets_an_error_and_its_neighbours_in_the_batch_their_answers(shop: Shop) -> None:
    import tritonclient.grpc as triton

    onnx.checker.check_model(onnx.load_from_string(table_lookup()))
    version = shop.publish(2.0, model=table_lookup())
    serve(shop.store, shop.control, shop.repository, [version], verify_key=None, timeout=30)

    with triton.InferenceServerClient(shop.triton.grpc_address) as client:

        def ask(number: int) -> float | str:
            tensor = triton.InferInput("x", [1, 4], "FP32")
            tensor.set_data_from_numpy(np.full((1, 4), number, np.float32))
            try:
                return float(client.infer("toy", [tensor], client_timeout=10).as_numpy("y")[0, 0])
            except triton.InferenceServerException as error:
                return str(error.message()).split(":")[0]

        asked = [number % 11 for number in range(220)]  # 10 is not in the table
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(ask, asked))
    assert answers == ["model.onnx" if number == 10 else 10.0 * number for number in asked]


def test_an_answered_error_is_counted_though_triton_calls_it_a_success(shop: Shop) -> None:
    import tritonclient.grpc as triton

    version = shop.publish(2.0, model=table_lookup())
    serve(shop.store, shop.control, shop.repository, [version], verify_key=None, timeout=30)
    tensor = triton.InferInput("x", [1, 4], "FP32")
    tensor.set_data_from_numpy(np.full((1, 4), 10, np.float32))  # 10 is not in the table
    with triton.InferenceServerClient(shop.triton.grpc_address) as client:
        for _ in range(3):
            with pytest.raises(triton.InferenceServerException):
                client.infer("toy", [tensor], client_timeout=10)
    with urllib.request.urlopen(f"http://127.0.0.1:{shop.triton.ports.metrics}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    assert 'slipway_request_error{model="toy",reason="ERROR_RESPONSE",version="1"} 3\n' in text
    assert all(line.endswith(" 0") for line in text.splitlines() if line.startswith("nv_inference_request_failure{"))


def no_class_for_words() -> bytes:
    """Probabilities of one class for a text without words, and of none for any other."""
    value, constant = helper.make_tensor_value_info, helper.make_tensor
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["text"], ["largest"], keepdims=0),
            helper.make_node("Min", ["largest", "one"], ["words"]),
            helper.make_node("Sub", ["one", "words"], ["classes"]),
            helper.make_node("Unsqueeze", ["text", "axis"], ["wide"]),
            helper.make_node("Cast", ["wide"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("Slice", ["numbers", "zero", "classes", "axis"], ["probabilities"]),
        ],
        "words",
        [value("text", TensorProto.INT64, ["batch", "tokens"])],
        [value("probabilities", TensorProto.FLOAT, ["batch", "tokens", "classes"])],
        [constant(name, TensorProto.INT64, [1], [number]) for name, number in (("zero", 0), ("one", 1), ("axis", 2))],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def test_a_text_models_own_mistake_is_counted_and_its_senders_is_not(shop: Shop) -> None:
    folder = make_candidate(shop.folder / "texts", model=no_class_for_words())
    for name, content in model_files("python", text=True).items():
        (folder / "model" / name).write_bytes(content)
    TextPipeline(RESERVED, ("O",), 10).write(folder / "model" / "text.json")
    Golden({"text": np.array([[b""]])}, {"entities": np.array([[b"[]"]])}).save(folder / "golden.npz")
    version = publish(shop.store, make_draft(folder), folder, shop.keys.private)
    (result,) = serve(shop.store, shop.control, shop.repository, [version], verify_key=None, timeout=30)
    assert result.state == "ready", result.reason
    for text in ("much too long a text", "word"):
        with pytest.raises(Rejected):
            ask(shop.triton.grpc_address, "toy", 1, {"text": np.array([[text]])})
    with urllib.request.urlopen(f"http://127.0.0.1:{shop.triton.ports.metrics}/metrics", timeout=5) as answer:
        metrics = answer.read().decode()
    assert 'slipway_request_error{model="toy",reason="ERROR_RESPONSE",version="1"} 1\n' in metrics


@pytest.mark.slow
def test_requests_that_come_together_are_run_together(shop: Shop) -> None:
    serve(shop.store, shop.control, shop.repository, [shop.publish(2.0)], verify_key=None, timeout=30)
    seen = replay(shop.triton.grpc_address, "toy", 1, golden(2.0), 800, 1e-6, at_once=16)
    assert (seen.failed, seen.mismatched) == (0, 0)
    with urllib.request.urlopen(f"http://127.0.0.1:{shop.triton.ports.metrics}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    runs = int(text.split('nv_inference_exec_count{model="toy",version="1"} ')[1].split("\n")[0])
    assert runs < 800
