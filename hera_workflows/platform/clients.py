"""Who asks a served model? One picture over HTTP and gRPC, or many clients at once as in a busy hour."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hera_workflows.settings import Server
from slipway.errors import TryAgain

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ask_grpc", "ask_http", "busy", "picture"]


def picture(number: int) -> tuple[NDArray[Any], int]:
    """A real handwritten digit of scikit-learn's collection, (1, 1, 8, 8) float32 in [0, 1], and what it shows."""
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    return (pixels[number] / 16).astype("float32").reshape(1, 1, 8, 8), int(digits[number])


def ask_http(server: Server, model: str, image: NDArray[Any]) -> list[float]:
    """The probabilities that the model answers over HTTP with JSON; raises TryAgain when it does not."""
    tensor = {"name": "input", "datatype": "FP32", "shape": list(image.shape), "data": image.ravel().tolist()}
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.http_port}/v2/models/{model}/infer",
        data=json.dumps({"inputs": [tensor]}).encode(),
        headers={"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return list(json.load(answer)["outputs"][0]["data"])
    except OSError as error:
        raise TryAgain(f"{server.environment} does not answer for {model} over HTTP ({error})") from None


def ask_grpc(server: Server, model: str, image: NDArray[Any]) -> list[float]:
    """The probabilities that the model answers over gRPC; raises TryAgain when it does not."""
    import tritonclient.grpc as triton
    from tritonclient.utils import InferenceServerException

    tensor = triton.InferInput("input", image.shape, "FP32")
    tensor.set_data_from_numpy(image)
    try:
        with triton.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as client:
            answer = client.infer(model, [tensor], client_timeout=10)
    except InferenceServerException as error:
        said = error.message()
        raise TryAgain(f"{server.environment} does not answer for {model} over gRPC ({said})") from None
    return [float(value) for value in answer.as_numpy("probabilities")[0]]


@contextlib.contextmanager
def busy(address: str, model: str, clients: int, pause: float = 0.01) -> Iterator[None]:
    """While the block runs, so many clients ask the model over gRPC for one picture after the other.

    Pictures of the world are not those of the test split: every fourth client's are overexposed by a quarter.
    address: HOST:PORT. pause: seconds between two questions of one client.
    """
    import numpy as np
    import tritonclient.grpc as triton
    from tritonclient.utils import InferenceServerException

    stopped = threading.Event()
    image, _ = picture(0)

    def work(exposure: float) -> None:
        tensor = triton.InferInput("input", image.shape, "FP32")
        tensor.set_data_from_numpy(image * np.float32(exposure))
        with triton.InferenceServerClient(address) as client:
            while not stopped.is_set():
                # What clients are told when a version goes is the promoter's to count, not theirs.
                with contextlib.suppress(InferenceServerException):
                    client.infer(model, [tensor], client_timeout=10)
                stopped.wait(pause)

    threads = [
        threading.Thread(target=work, args=(1.25 if number % 4 == 0 else 1.0,), daemon=True)
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
