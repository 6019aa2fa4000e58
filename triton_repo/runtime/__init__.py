"""What lies beside model.onnx so that Triton can run it?"""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

from slipway.errors import Misconfigured

__all__ = ["Backend", "model_files"]

Backend = Literal["python", "onnxruntime"]


def model_files(backend: Backend, *, text: bool = False) -> dict[str, bytes]:
    """Name and content of each file: Triton's own onnxruntime backend needs none, the python backend a model.py.

    text: requests are text, so the pipeline goes with it; raises Misconfigured for the backend that has no Python.
    """
    if backend == "onnxruntime":
        if text:
            raise Misconfigured("text needs Python in the server and onnxruntime has none; use --backend python")
        return {}
    names = ["model.py", "text_pipeline.py"] if text else ["model.py"]
    return {name: files(__package__).joinpath(name).read_bytes() for name in names}
