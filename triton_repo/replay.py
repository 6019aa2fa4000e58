"""Does a served version answer the golden requests as PyTorch did, and how fast?"""

from __future__ import annotations

import http.client
import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from slipway.errors import Rejected
from slipway.names import check_model, check_number
from slipway.observation import Replay
from triton_repo.answers import same_answers
from triton_repo.golden import Golden
from triton_repo.tensors import OWN_CONNECTION, tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Measurement", "Protocol", "measure", "replay"]

Protocol = Literal["grpc", "http"]
_AT_ONCE = 8  # requests on the way; enough to see dynamic batching, too few to disturb a small server


@dataclass(frozen=True, slots=True)
class _Answer:
    seconds: float
    outputs: dict[str, NDArray[Any]] | None  # None: no answer, or an error


@dataclass(frozen=True, slots=True)
class Measurement:
    """How fast a served version answered."""

    latencies_ms: tuple[float, ...]  # of the requests that were answered, in order of sending
    failed: int
    seconds: float  # from the first request to the last answer
    throughput: float  # inferences (rows) a second

    @property
    def p95_ms(self) -> float | None:
        """The 95th percentile, by the nearest rank; None when nothing was answered."""
        return percentile(self.latencies_ms, 0.95)


def percentile(values: tuple[float, ...], share: float) -> float | None:
    """The smallest value that at least `share` of the values do not exceed; None without values."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] if ranked else None


def replay(
    address: str,
    model: str,
    number: int,
    golden: Golden,
    count: int,
    tolerance: float,
    *,
    protocol: Protocol = "grpc",
    batch: int = 1,
    timeout_s: float = 10.0,
    at_once: int = _AT_ONCE,
    begin: int = 0,
    seconds: float = math.inf,
) -> Replay:
    """Send `count` requests of `batch` rows to exactly that version, and compare each answer.

    An answer mismatches when a tensor is missing, has another shape or kind, holds NaN where PyTorch had none, or
    differs by more than tolerance (absolute). A server that is away is `failed`, never an error of ours.
    address: host:port of the protocol. begin: the request to begin with; after the last golden one comes the first
    again. seconds: after these no more are sent, but for the first `at_once`; `sent` says how many were.
    """
    sent, mismatched, failed, late, latencies = 0, 0, 0, 0, []
    asked = _ask(address, model, number, golden, count, protocol, batch, timeout_s, at_once, begin, seconds)
    for start, answer in asked:
        sent += 1
        if answer.outputs is None:
            failed += 1
            late += answer.seconds >= 0.9 * timeout_s
            continue
        latencies.append(answer.seconds * 1000)
        mismatched += not same_answers(answer.outputs, _rows(golden.outputs, start, batch), tolerance)
    p95_ms = percentile(tuple(latencies), 0.95)
    return Replay(sent=sent, failed=failed, late=late, mismatched=mismatched, p95_ms=p95_ms)


def measure(
    address: str,
    model: str,
    number: int,
    golden: Golden,
    count: int,
    *,
    protocol: Protocol = "grpc",
    batch: int = 1,
    timeout_s: float = 10.0,
    at_once: int = 1,
) -> Measurement:
    """Time `count` requests of `batch` rows, `at_once` of them on the way; answers are not compared."""
    began = time.perf_counter()
    answers = [a for _, a in _ask(address, model, number, golden, count, protocol, batch, timeout_s, at_once)]
    seconds = time.perf_counter() - began
    answered = [answer for answer in answers if answer.outputs is not None]
    return Measurement(
        latencies_ms=tuple(answer.seconds * 1000 for answer in answered),
        failed=len(answers) - len(answered),
        seconds=seconds,
        throughput=len(answered) * batch / seconds if seconds else 0.0,
    )


def _ask(
    address: str,
    model: str,
    number: int,
    golden: Golden,
    count: int,
    protocol: Protocol,
    batch: int,
    timeout_s: float,
    at_once: int,
    begin: int = 0,
    seconds: float = math.inf,
) -> Iterator[tuple[int, _Answer]]:
    """Each request's first row and its answer, in order of sending; memory stays that of `at_once` answers."""
    check_model(model)
    check_number(number)
    if min(batch, at_once) < 1:
        raise Rejected(f"batch {batch} and at_once {at_once} must be at least 1")
    deadline = time.monotonic() + seconds
    with _client(address, protocol, timeout_s) as infer, ThreadPoolExecutor(at_once) as pool:

        def ask(place: int) -> tuple[int, _Answer] | None:
            # Whatever time is left, something is learned, and repeated often enough everything.
            if place >= at_once and time.monotonic() >= deadline:
                return None
            start = (begin + place) * batch % len(golden)
            feed = _rows(golden.inputs, start, batch)
            began = time.perf_counter()
            outputs = infer(model, number, feed)
            return start, _Answer(time.perf_counter() - began, outputs)

        for first in range(0, count, 64 * at_once):
            if first and time.monotonic() >= deadline:
                return
            answers = pool.map(ask, range(first, min(count, first + 64 * at_once)))
            yield from (answer for answer in answers if answer is not None)


def _rows(arrays: dict[str, NDArray[Any]], start: int, batch: int) -> dict[str, NDArray[Any]]:
    import numpy as np

    # Round and round: a full batch may be larger than the sample of golden requests.
    return {
        name: np.ascontiguousarray(a.take(range(start, start + batch), 0, mode="wrap")) for name, a in arrays.items()
    }


Infer = Callable[[str, int, "dict[str, NDArray[Any]]"], "dict[str, NDArray[Any]] | None"]


@contextmanager
def _client(address: str, protocol: Protocol, timeout_s: float) -> Iterator[Infer]:
    """A function that asks a version and answers None when there is no answer; any thread may call it."""
    if protocol == "grpc":
        import tritonclient.grpc as triton
        from tritonclient.utils import InferenceServerException

        client = triton.InferenceServerClient(address, channel_args=OWN_CONNECTION)

        def infer(model: str, number: int, feed: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]] | None:
            try:
                result = client.infer(model, tensors(triton, feed), str(number), client_timeout=timeout_s)
            except InferenceServerException:
                return None
            return {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}

        try:
            yield infer
        finally:
            client.close()
    else:
        with ExitStack() as connections:
            yield _http(address, timeout_s, connections)


def _http(address: str, timeout_s: float, connections: ExitStack) -> Infer:
    # tritonclient's own HTTP connections are gevent's and may not leave the thread that opened them, so it makes the
    # bodies here and the standard library sends them, on one connection for each thread.
    import tritonclient.http as triton
    from tritonclient.utils import InferenceServerException

    own = threading.local()

    def infer(model: str, number: int, feed: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]] | None:
        if not hasattr(own, "connection"):
            own.connection = connections.enter_context(closing(http.client.HTTPConnection(address, timeout=timeout_s)))
        body, header = triton.InferenceServerClient.generate_request_body(tensors(triton, feed))
        headers = {"Inference-Header-Content-Length": str(header)} if header else {}
        try:
            own.connection.request("POST", f"/v2/models/{model}/versions/{number}/infer", body, headers)
            response = own.connection.getresponse()
            content, split = response.read(), response.getheader("Inference-Header-Content-Length")
            if response.status != 200:
                return None
            result = triton.InferenceServerClient.parse_response_body(content, header_length=int(split or 0) or None)
            return {output["name"]: result.as_numpy(output["name"]) for output in result.get_response()["outputs"]}
        except (OSError, http.client.HTTPException, InferenceServerException, ValueError, KeyError):
            own.connection.close()  # opened again by the next request
            return None

    return infer
