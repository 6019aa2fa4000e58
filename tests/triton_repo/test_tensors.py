"""Arrays are sent as the datatype that a served model has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

from triton_repo.tensors import tensors


@pytest.mark.parametrize(
    "text", [np.array([["Genève".encode()]]), np.array([["Genève"]]), np.array([["Genève"]], dtype=object)]
)
def test_text_of_every_kind_is_bytes_in_utf_8(text: Any) -> None:
    (sent,) = tensors(triton, {"text": text})
    assert (sent.name(), sent.datatype(), sent.shape()) == ("text", "BYTES", [1, 1])
    assert sent._get_content() == len("Genève".encode()).to_bytes(4, "little") + "Genève".encode()


def test_numbers_keep_their_type_and_shape() -> None:
    (sent,) = tensors(triton, {"x": np.zeros((2, 3), np.uint8)})
    assert (sent.datatype(), sent.shape()) == ("UINT8", [2, 3])
