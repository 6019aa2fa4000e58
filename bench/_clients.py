"""How many rows a second does a served version answer while clients keep it busy, and how long does one row take?

The clients do what those do that care: a connection each, requests made once and sent again, and tensors of numbers
in Triton's system shared memory, so that only a few hundred bytes go through the socket. Text goes in the request.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["latencies", "saturate"]

Arrays = dict[str, NDArray[Any]]
# A connection for each client: tritonclient gives up to six clients of one process the same one.
_OWN = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]


def saturate(address: str, model: str, inputs: Arrays, outputs: Arrays, clients: int, seconds: float) -> float:
    """Rows a second when `clients` send the same full batch again and again; outputs: what one answer looks like."""
    rows, done = len(next(iter(inputs.values()))), [0] * clients
    with ExitStack() as stack:
        asks = [stack.enter_context(_client(address, model, inputs, outputs)) for _ in range(clients)]
        for ask in asks:
            ask()
        begin = time.perf_counter()

        def work(place: int) -> None:
            while time.perf_counter() - begin < seconds:
                asks[place]()
                done[place] += rows

        threads = [threading.Thread(target=work, args=(place,)) for place in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(done) / (time.perf_counter() - begin)


def latencies(address: str, model: str, inputs: Arrays, outputs: Arrays, count: int) -> list[float]:
    """Milliseconds of `count` requests of one row, one after another."""
    found = []
    with _client(address, model, _first(inputs), _first(outputs)) as ask:
        ask()
        for _ in range(count):
            begin = time.perf_counter()
            ask()
            found.append(1000 * (time.perf_counter() - begin))
    return found


def _first(arrays: Arrays) -> Arrays:
    return {name: array[:1] for name, array in arrays.items()}


@contextmanager
def _client(address: str, model: str, inputs: Arrays, outputs: Arrays) -> Iterator[Any]:
    """A function that sends the inputs and reads the answer; one thread calls it at a time."""
    import tritonclient.grpc as triton
    from tritonclient.utils import np_to_triton_dtype

    with ExitStack() as stack:
        client = stack.enter_context(triton.InferenceServerClient(address, channel_args=_OWN))
        tensors, wanted, read = [], [], []
        for name, array in inputs.items():
            tensor = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
            if array.dtype == object:
                tensor.set_data_from_numpy(array)
            else:
                region, _ = stack.enter_context(_region(client, array))
                tensor.set_shared_memory(region, array.nbytes)
            tensors.append(tensor)
        for name, array in outputs.items():
            output = triton.InferRequestedOutput(name)
            if array.dtype == object:
                read.append(lambda result, name=name: result.as_numpy(name))
            else:
                region, values = stack.enter_context(_region(client, array))
                output.set_shared_memory(region, array.nbytes)
                read.append(lambda _, values=values: values.copy())
            wanted.append(output)

        def ask() -> list[Any]:
            result = client.infer(model, tensors, outputs=wanted, client_timeout=60)
            return [look(result) for look in read]

        yield ask


@contextmanager
def _region(client: Any, array: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """A piece of shared memory that holds the array, known to the server: its name, and a view of what is in it."""
    import tritonclient.utils.shared_memory as shm

    name = f"slipway-bench-{os.getpid()}-{time.monotonic_ns()}"
    handle = shm.create_shared_memory_region(name, f"/{name}", array.nbytes)
    try:
        shm.set_shared_memory_region(handle, [np.ascontiguousarray(array)])
        client.register_system_shared_memory(name, f"/{name}", array.nbytes)
        try:
            yield name, shm.get_contents_as_numpy(handle, array.dtype, list(array.shape))
        finally:
            client.unregister_system_shared_memory(name)
    finally:
        shm.destroy_shared_memory_region(handle)
