"""What lies beside model.onnx so that Triton can run it?"""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

__all__ = ["Backend", "model_files"]

Backend = Literal["python", "onnxruntime"]


def model_files(backend: Backend) -> dict[str, bytes]:
    """Name and content of each file: Triton's own onnxruntime backend needs none, the python backend a model.py."""
    if backend == "onnxruntime":
        return {}
    return {"model.py": files(__package__).joinpath("model.py").read_bytes()}
