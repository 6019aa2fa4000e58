"""Does a client notice anything? Requests without a pause over HTTP and gRPC, each answer checked, none repeated."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Seen", "Traffic"]

_ROW = [1.0, 2.0, 3.0, 4.0]
# As an HTTP client behind a Service is to be: a connection is used for a while and then made anew.
_HTTP_CONNECTION_SECONDS = 5.0


@dataclass
class Seen:
    """What one client saw."""

    answers: Counter[int] = field(default_factory=Counter)  # by the version that answered
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0  # seconds

    @property
    def requests(self) -> int:
        return self.answers.total() + len(self.failures)


class Traffic:
    """Clients of one model that ask from the beginning of the block to its end; version n answers n times the row."""

    def __init__(self, address: str, model: str) -> None:
        self.seen = {"http": Seen(), "grpc": Seen()}
        self._stop = threading.Event()
        asks = {"http": _http(f"http://{address}:8000", model), "grpc": _grpc(f"{address}:8001", model)}
        self._threads = [threading.Thread(target=self._run, args=(self.seen[kind], ask)) for kind, ask in asks.items()]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def count(self, number: int) -> int:
        """How often version `number` has answered the client that it answered least."""
        return min(seen.answers[number] for seen in self.seen.values())

    def answered_by(self, number: int) -> bool:
        return self.count(number) > 0

    def _run(self, seen: Seen, ask: Iterator[Callable[[], tuple[int, Any]]]) -> None:
        for request in ask:
            if self._stop.is_set():
                return
            begun = time.monotonic()
            try:
                number, row = request()
                if not np.allclose(row, np.array(_ROW) * number):
                    raise ValueError(f"version {number} answered {row}")
                seen.answers[number] += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, a client saw it
                seen.failures.append(f"{time.strftime('%X')} {type(error).__name__}: {str(error)[:200]}")
            seen.slowest = max(seen.slowest, time.monotonic() - begun)


def _http(url: str, model: str) -> Iterator[Callable[[], tuple[int, Any]]]:
    import urllib3

    body = json.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": _ROW}]})

    def ask() -> tuple[int, Any]:
        answer = pool.request("POST", f"{url}/v2/models/{model}/infer", body=body, timeout=30.0, retries=False)
        if answer.status != 200:
            raise ValueError(f"{answer.status}: {answer.data[:200]!r}")
        said = answer.json()
        return int(said["model_version"]), said["outputs"][0]["data"]

    while True:
        with urllib3.PoolManager(maxsize=1) as pool:
            end = time.monotonic() + _HTTP_CONNECTION_SECONDS
            while time.monotonic() < end:
                yield ask


def _grpc(address: str, model: str) -> Iterator[Callable[[], tuple[int, Any]]]:
    import tritonclient.grpc as triton

    row = triton.InferInput("x", [1, 4], "FP32")
    row.set_data_from_numpy(np.array([_ROW], dtype=np.float32))

    def ask() -> tuple[int, Any]:
        answer = client.infer(model, [row], client_timeout=30.0)
        return int(answer.get_response().model_version), answer.as_numpy("y")[0]

    # One channel for ever, as gRPC's clients do.
    with triton.InferenceServerClient(address) as client:
        while True:
            yield ask
