"""The python backend runs a dynamic batch as one, and keeps one request's error from the others."""

from __future__ import annotations

import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from triton_toys import Shop, golden

from triton_repo.replay import replay
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


@pytest.mark.slow
def test_requests_that_come_together_are_run_together(shop: Shop) -> None:
    serve(shop.store, shop.control, shop.repository, [shop.publish(2.0)], verify_key=None, timeout=30)
    seen = replay(shop.triton.grpc_address, "toy", 1, golden(2.0), 800, 1e-6, at_once=16)
    assert (seen.failed, seen.mismatched) == (0, 0)
    with urllib.request.urlopen(f"http://127.0.0.1:{shop.triton.ports.metrics}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    runs = int(text.split('nv_inference_exec_count{model="toy",version="1"} ')[1].split("\n")[0])
    assert runs < 800
