"""What does a served version answer to one request, or why does it not?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from slipway.errors import Rejected, TryAgain
from slipway.names import check_model, check_number
from triton_repo.tensors import OWN_CONNECTION, tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ask"]

_AWAY = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "499", "503")


def ask(
    address: str,
    model: str,
    number: int,
    inputs: dict[str, NDArray[Any]],
    *,
    protocol: Literal["grpc", "http"] = "grpc",
    timeout_s: float = 30.0,
) -> dict[str, NDArray[Any]]:
    """The answer of exactly that version, by output name; text is bytes on both sides.

    address: host:port of the protocol. Raises Rejected with the server's words when it refuses the request,
    TryAgain when it is away, does not serve the version, or takes longer than `timeout_s`.
    """
    from tritonclient.utils import InferenceServerException

    where = f"{model}@{number} at {address}"
    check_model(model)
    check_number(number)
    try:
        return (
            _grpc(address, model, number, inputs, timeout_s)
            if protocol == "grpc"
            else _http(address, model, number, inputs, timeout_s)
        )
    except InferenceServerException as error:
        message = " ".join(str(error.message()).split())[:500]
        status = str(error.status() or "")
        if "not found" in message or "is not ready" in message or "unknown model" in message:
            raise TryAgain(
                f"{where} is not served ({message}); `slipway reconcile` makes the servers serve it"
            ) from None
        if any(word in status for word in _AWAY):
            raise TryAgain(
                f"{where} does not answer ({message}); see that the server is up: `slipway status`"
            ) from None
        raise Rejected(f"{where} refuses the request: {message}") from None
    except OSError as error:
        raise TryAgain(f"{where} does not answer ({error}); see that the server is up: `slipway status`") from None


def _grpc(
    address: str, model: str, number: int, inputs: dict[str, NDArray[Any]], timeout_s: float
) -> dict[str, NDArray[Any]]:
    import tritonclient.grpc as triton

    with triton.InferenceServerClient(address, channel_args=OWN_CONNECTION) as client:
        result = client.infer(model, tensors(triton, inputs), str(number), client_timeout=timeout_s)
        return {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}


def _http(
    address: str, model: str, number: int, inputs: dict[str, NDArray[Any]], timeout_s: float
) -> dict[str, NDArray[Any]]:
    import tritonclient.http as triton

    with triton.InferenceServerClient(address, connection_timeout=timeout_s, network_timeout=timeout_s) as client:
        result = client.infer(model, tensors(triton, inputs), str(number))
        return {output["name"]: result.as_numpy(output["name"]) for output in result.get_response()["outputs"]}
