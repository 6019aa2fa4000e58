"""Golden requests say whether a served version answers as PyTorch did."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from triton_toys import Shop, golden

from slipway.errors import Rejected
from triton_repo.golden import Golden
from triton_repo.ports import free_ports
from triton_repo.replay import Protocol, measure, replay
from triton_repo.serving import serve


@pytest.fixture
def served(shop: Shop) -> Shop:
    serve(shop.store, shop.control, shop.repository, [shop.publish(2.0)], verify_key=None, timeout=30)
    return shop


def address(shop: Shop, protocol: Protocol) -> str:
    return f"127.0.0.1:{shop.triton.ports.grpc if protocol == 'grpc' else shop.triton.ports.http}"


BOTH = pytest.mark.parametrize("protocol", ["grpc", "http"])


@BOTH
def test_right_answers_match_one_by_one_and_in_batches(served: Shop, protocol: Protocol) -> None:
    for batch in (1, 3, 8):
        seen = replay(address(served, protocol), "toy", 1, golden(2.0), 40, 1e-6, protocol=protocol, batch=batch)
        assert (seen.sent, seen.failed, seen.mismatched) == (40, 0, 0)
        assert seen.p95_ms is not None
        assert seen.p95_ms > 0


@BOTH
def test_wrong_answers_are_counted(served: Shop, protocol: Protocol) -> None:
    # The first of ten requests holds 0, which both scales answer with less than the tolerance of 100; the rest not.
    seen = replay(address(served, protocol), "toy", 1, golden(9.0), 10, 30.0, protocol=protocol)
    assert (seen.failed, seen.mismatched) == (0, 9)


@BOTH
def test_a_version_that_is_not_served_fails(served: Shop, protocol: Protocol) -> None:
    seen = replay(address(served, protocol), "toy", 2, golden(2.0), 10, 1e-6, protocol=protocol)
    assert (seen.sent, seen.failed, seen.mismatched, seen.p95_ms) == (10, 10, 0, None)


@BOTH
def test_a_server_that_is_away_fails(protocol: Protocol) -> None:
    (port,) = free_ports(1)
    seen = replay(f"127.0.0.1:{port}", "toy", 1, golden(2.0), 10, 1e-6, protocol=protocol, timeout_s=2)
    assert (seen.failed, seen.p95_ms) == (10, None)


@contextmanager
def silent_server(greeting: bytes = b"", connections: list[socket.socket] | None = None) -> Iterator[int]:
    """Takes connections, which it may list, and after a greeting never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = [] if connections is None else connections

        def accept() -> None:
            try:
                while True:
                    kept.append(server.accept()[0])
                    kept[-1].sendall(greeting)
            except OSError:
                return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=5)
        for connection in kept:
            connection.close()


@BOTH
def test_a_server_that_says_nothing_fails_in_time(protocol: Protocol) -> None:
    with silent_server() as port:
        seen = replay(f"127.0.0.1:{port}", "toy", 1, golden(2.0), 4, 1e-6, protocol=protocol, timeout_s=0.5)
    assert (seen.failed, seen.late) == (4, 4)


@BOTH
def test_two_replays_share_no_connection(protocol: Protocol) -> None:
    settings_of_http2 = bytes(3) + b"\x04" + bytes(5)  # without which gRPC takes a connection for none yet
    connections: list[socket.socket] = []
    with silent_server(settings_of_http2 if protocol == "grpc" else b"", connections) as port:

        def ask(_: int) -> int:
            sent = replay(
                f"127.0.0.1:{port}", "toy", 1, golden(2.0), 1, 1e-6, protocol=protocol, timeout_s=1, at_once=1
            )
            return sent.late

        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(ask, range(2))) == [1, 1]
    assert len(connections) == 2


@BOTH
def test_a_replay_ends_with_its_time_and_says_how_many_were_sent(served: Shop, protocol: Protocol) -> None:
    seen = replay(address(served, protocol), "toy", 1, golden(2.0), 40, 1e-6, protocol=protocol, at_once=3, seconds=0)
    assert (seen.sent, seen.failed, seen.mismatched) == (3, 0, 0)


def test_a_server_that_says_nothing_holds_no_replay_longer_than_its_time() -> None:
    with silent_server() as port:
        seen = replay(f"127.0.0.1:{port}", "toy", 1, golden(2.0), 10**6, 1e-6, timeout_s=0.5, seconds=1.0)
    assert 8 <= seen.sent == seen.failed <= 24


def test_a_replay_goes_on_where_another_ended(served: Shop) -> None:
    answers = golden(2.0).outputs["y"].copy()
    answers[9] += 1  # the last of ten
    expected = Golden(golden(2.0).inputs, {"y": answers})
    for begin, wrong in ((0, 0), (8, 1), (19, 1), (20, 0)):
        assert replay(address(served, "grpc"), "toy", 1, expected, 8, 1e-6, begin=begin).mismatched == wrong


def test_a_request_of_the_wrong_shape_fails(served: Shop) -> None:
    wrong = Golden({"x": np.zeros((5, 3), np.float32)}, {"y": np.zeros((5, 3), np.float32)})
    seen = replay(address(served, "grpc"), "toy", 1, wrong, 5, 1e-6)
    assert (seen.failed, seen.late) == (5, 0)


@pytest.mark.parametrize(
    "answers",
    [
        {"y": np.full((10, 4), np.nan, np.float32)},
        {"y": golden(2.0).outputs["y"].astype(np.float64)},
        {"y": golden(2.0).outputs["y"][:, :3]},
        {"z": golden(2.0).outputs["y"]},
    ],
    ids=["NaN", "another kind", "another shape", "another tensor"],
)
def test_an_answer_of_another_form_mismatches(served: Shop, answers: dict[str, np.ndarray]) -> None:
    expected = Golden(golden(2.0).inputs, answers)
    assert replay(address(served, "grpc"), "toy", 1, expected, 10, 1e9).mismatched == 10


def test_more_rows_than_there_are_golden_requests_go_round(served: Shop) -> None:
    three = Golden({"x": golden(2.0).inputs["x"][:3]}, {"y": golden(2.0).outputs["y"][:3]})
    assert replay(address(served, "grpc"), "toy", 1, three, 20, 1e-6, batch=8).mismatched == 0


def test_a_batch_above_the_servers_limit_fails(served: Shop) -> None:
    assert replay(address(served, "grpc"), "toy", 1, golden(2.0), 4, 1e-6, batch=9).failed == 4


def test_no_requests_are_no_evidence(served: Shop) -> None:
    seen = replay(address(served, "grpc"), "toy", 1, golden(2.0), 0, 1e-6)
    assert (seen.sent, seen.failed, seen.p95_ms) == (0, 0, None)


def test_a_name_that_is_a_path_is_refused() -> None:
    with pytest.raises(Rejected):
        replay("127.0.0.1:1", "../toy", 1, golden(2.0), 1, 1e-6)


@BOTH
def test_a_measurement_counts_rows_and_times_each_request(served: Shop, protocol: Protocol) -> None:
    seen = measure(address(served, protocol), "toy", 1, golden(2.0), 30, protocol=protocol, batch=4)
    assert (len(seen.latencies_ms), seen.failed) == (30, 0)
    assert seen.throughput == pytest.approx(30 * 4 / seen.seconds)
    assert seen.p95_ms is not None
    assert min(seen.latencies_ms) <= seen.p95_ms <= max(seen.latencies_ms)
