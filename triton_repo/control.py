"""What does a running Triton serve, and how is it told to serve something else?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from slipway.errors import Misconfigured, Rejected, TryAgain
from slipway.names import check_model
from triton_repo.server import SECRET_HEADER
from triton_repo.tensors import OWN_CONNECTION

__all__ = ["IndexEntry", "TritonControl"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One line of Triton's repository index."""

    model: str
    number: int | None  # None: a model of which no version was ever loaded
    state: str  # READY, LOADING, UNLOADING, UNAVAILABLE, or "" for never loaded
    reason: str


class TritonControl:
    """Model control over gRPC; the HTTP call would block the server's front-end threads while a model loads.

    Every call raises TryAgain when the server does not answer, Misconfigured when it wants another secret.
    """

    def __init__(self, grpc_address: str, secret: str | None, *, timeout: float = 60.0) -> None:
        from tritonclient.grpc import InferenceServerClient

        self._address, self._timeout = grpc_address, timeout
        self._headers = {f"triton-grpc-protocol-{SECRET_HEADER}": secret} if secret else None
        self._client = InferenceServerClient(grpc_address, channel_args=OWN_CONNECTION)

    def load(self, model: str, *, timeout: float | None = None) -> None:
        """Make the server read the model's config and serve what it says; raises Rejected when that fails.

        A failed load leaves what was served before. Success proves nothing: poll `index`.
        """
        self._call(
            lambda: self._client.load_model(
                check_model(model), headers=self._headers, client_timeout=timeout or self._timeout
            )
        )

    def unload(self, model: str) -> None:
        """Stop serving a model; unknown ones are fine."""
        self._call(
            lambda: self._client.unload_model(check_model(model), headers=self._headers, client_timeout=self._timeout)
        )

    def index(self) -> list[IndexEntry]:
        """Every model and version that the server has heard of."""
        answer: Any = self._call(
            lambda: self._client.get_model_repository_index(headers=self._headers, client_timeout=self._timeout)
        )
        return [IndexEntry(m.name, int(m.version) if m.version else None, m.state, m.reason) for m in answer.models]

    def ready(self, model: str, number: int) -> bool:
        """Whether that version answers requests now."""
        return bool(self._call(lambda: self._client.is_model_ready(model, str(number), client_timeout=self._timeout)))

    def _call(self, function: Callable[[], T]) -> T:
        from tritonclient.utils import InferenceServerException

        try:
            return function()
        except InferenceServerException as error:
            status, said = str(error.status() or ""), str(error.message()).strip()[:1000]
            if "UNAVAILABLE" in status and "restricted" in said:
                raise Misconfigured(
                    f"Triton at {self._address} refuses: {said}; give the secret it was started with"
                ) from None
            if any(word in status for word in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")):
                raise TryAgain(
                    f"Triton at {self._address} did not answer ({said}); see its log, then run this again"
                ) from None
            raise Rejected(f"Triton at {self._address}: {said}") from None

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> TritonControl:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
