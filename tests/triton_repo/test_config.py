"""config.pbtxt says what Triton needs and nothing more."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf import text_format
from triton_toys import golden
from tritonclient.grpc import model_config_pb2 as pb

from slipway.errors import Rejected
from slipway.spec import Serving
from triton_repo.config import Signature, Tensor, render_config, signature_of
from triton_repo.golden import Golden

SIGNATURE = Signature((Tensor("tokens", "INT64", (-1,)), Tensor("flag", "BOOL", (1,))), (Tensor("y", "FP32", (-1, 3)),))


def parsed(**changes: object) -> pb.ModelConfig:
    arguments = {"model": "toy", "number": 7, "signature": SIGNATURE, "serving": Serving(max_batch=16, instances=2)}
    arguments |= {"backend": "python", "warmup": None, **changes}
    return text_format.Parse(render_config(**arguments), pb.ModelConfig())  # type: ignore[arg-type]


def test_exactly_the_given_version_is_served() -> None:
    assert list(parsed().version_policy.specific.versions) == [7]


def test_tensors_are_those_of_the_signature() -> None:
    config = parsed()
    assert [(t.name, t.data_type, list(t.dims)) for t in config.input] == [
        ("tokens", pb.TYPE_INT64, [-1]),
        ("flag", pb.TYPE_BOOL, [1]),
    ]
    assert [(t.name, t.data_type, list(t.dims)) for t in config.output] == [("y", pb.TYPE_FP32, [-1, 3])]


def test_requests_are_batched_up_to_the_given_size() -> None:
    config = parsed(serving=Serving(max_batch=16, max_queue_delay_us=250))
    assert config.max_batch_size == 16
    assert list(config.dynamic_batching.preferred_batch_size) == [8, 16]
    assert config.dynamic_batching.max_queue_delay_microseconds == 250


def test_a_batch_of_one_needs_no_batcher() -> None:
    assert not parsed(serving=Serving(max_batch=1)).HasField("dynamic_batching")


def test_as_many_instances_as_asked_for_run_on_the_cpu() -> None:
    (group,) = parsed(serving=Serving(instances=2)).instance_group
    assert (group.count, group.kind) == (2, pb.ModelInstanceGroup.KIND_CPU)


def test_warm_up_uses_the_golden_requests_shapes_for_one_row_and_a_small_batch() -> None:
    requests = Golden(
        {"tokens": np.zeros((3, 12), np.int64), "flag": np.zeros((3, 1), bool)}, {"y": np.zeros((3, 12, 3), np.float32)}
    )
    samples = parsed(warmup=requests).model_warmup
    assert [sample.batch_size for sample in samples] == [1, 8]
    assert [list(sample.inputs["tokens"].dims) for sample in samples] == [[12], [12]]
    assert all(sample.inputs["tokens"].zero_data for sample in samples)


def test_the_onnxruntime_backend_is_told_the_files_name() -> None:
    config = parsed(backend="onnxruntime")
    assert (config.backend, config.default_model_filename) == ("onnxruntime", "model.onnx")


def test_a_signature_survives_json() -> None:
    assert Signature.from_json(SIGNATURE.to_json()) == SIGNATURE


@pytest.mark.parametrize("value", [None, {}, {"inputs": 3, "outputs": []}, {"inputs": [{"name": "x"}], "outputs": []}])
def test_json_that_is_no_signature_is_refused(value: object) -> None:
    with pytest.raises(Rejected):
        Signature.from_json(value)


@pytest.mark.parametrize(
    "fields",
    [("x", "FP128", (1,)), ("", "FP32", (1,)), ("x\n", "FP32", (1,)), ("x", "FP32", (0,)), ("x", "FP32", (-2,))],
)
def test_a_tensor_that_triton_cannot_have_is_refused(fields: tuple[str, str, tuple[int, ...]]) -> None:
    with pytest.raises(Rejected):
        Tensor(*fields)


def test_a_name_with_quotes_stays_inside_its_string() -> None:
    odd = Signature((Tensor('x" } evil { "', "FP32", (1,)),), SIGNATURE.outputs)
    assert parsed(signature=odd).input[0].name == 'x" } evil { "'


def test_golden_requests_show_a_signature() -> None:
    assert signature_of(golden(2.0)) == Signature((Tensor("x", "FP32", (4,)),), (Tensor("y", "FP32", (4,)),))
