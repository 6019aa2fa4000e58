"""The promoter beside a real Triton that a real Prometheus scrapes."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest
from promotion_world import World

from gitops.approvals import requests
from gitops.environment_repo import read
from gitops.evidence import evidence_of
from hera_workflows.promoter import Line
from hera_workflows.promoter.servers import Addresses
from slipway.errors import TryAgain
from slipway.evidence import agrees, parse_evidence
from slipway.verdict import Verdict
from triton_repo.control import TritonControl
from triton_repo.server import RunningTriton, start_triton
from triton_repo.serving import serve

pytestmark = pytest.mark.slow
SECRET = "a-secret-of-the-tests"


@dataclass
class Served:
    """The first environment of a world, served by a Triton."""

    world: World
    triton: RunningTriton
    until: Any

    def reconcile(self) -> None:
        """Make Triton serve what git says of the first environment."""
        wanted = [v for (name, _), v in read(self.world.url).releases.items() if name == self.world.first]
        with TritonControl(self.triton.grpc_address, SECRET) as control:
            results = serve(
                self.world.store, control, self.world.folder / "repository", wanted, verify_key=None, timeout=60
            )
        assert all(result.state in ("ready", "unchanged") for result in results), results

    def promote(self, address: str | None = None, **changes: Any) -> Line:
        servers = Addresses({self.world.first: address or self.triton.grpc_address})
        return self.world.promote(servers=servers, **changes).lines[0]

    def promote_until(self, action: str, address: str | None = None) -> Line:
        """Passes until one ends so; numbers come with the next scrape."""
        lines: list[Line] = []

        def reached() -> bool:
            lines.append(self.promote(address))
            assert lines[-1].action in (action, "waiting"), lines
            return lines[-1].action == action

        self.until(reached, 60)
        return lines[-1]


@contextmanager
def standing_still_once(port: int) -> Iterator[tuple[str, threading.Event]]:
    """An address that passes on to `port`, but for the first connection with inferences, which stays without answer."""
    stood_still = threading.Event()

    class Pass(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as triton:
                threading.Thread(target=self.back, args=(triton,), daemon=True).start()
                while sent := self.request.recv(1 << 16):
                    if b"ModelInfer" in sent and not stood_still.is_set():
                        stood_still.set()
                        while self.request.recv(1 << 16):
                            pass
                        return
                    triton.sendall(sent)

        def back(self, triton: socket.socket) -> None:
            with suppress(OSError):
                while answered := triton.recv(1 << 16):
                    self.request.sendall(answered)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Pass) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", stood_still
        finally:
            server.shutdown()


@pytest.fixture
def served(world, start_prometheus, tmp_path, until) -> Iterator[Served]:
    triton = start_triton(tmp_path / "repository", tmp_path / "triton", secret=SECRET)
    try:
        target = {
            "targets": [f"127.0.0.1:{triton.ports.metrics}"],
            "labels": {"environment": world.first},
        }
        url = start_prometheus(
            {"job_name": "triton", "scrape_interval": "1s", "scrape_timeout": "1s", "static_configs": [target]}
        )
        yield Served(replace(world, prometheus_url=url), triton, until)
    finally:
        triton.kill()
        triton.stop()


POLICY = {"min_requests": 40, "soak": "1s", "replay": 50}


def test_golden_requests_alone_carry_a_good_version_to_its_request(served):
    version = served.world.publish(**POLICY)
    served.world.release(version)
    served.reconcile()
    line = served.promote_until("requested")
    evidence = parse_evidence(next(iter(evidence_of(served.world.url, line.commit)[1].values())))
    assert evidence.observation.requests >= 50
    assert evidence.observation.replay.mismatched == 0
    assert evidence.observation.reconciled


def test_what_a_replay_has_no_time_for_is_sent_by_the_next_passes(served):
    served.world.release(served.world.publish(**{**POLICY, "min_requests": 8, "soak": "0s"}))
    served.reconcile()
    lines: list[Line] = []
    served.until(lambda: lines.append(served.promote(replay_seconds=0.0)) or lines[-1].action == "requested", 60)
    short = [
        line
        for line in lines
        if line.reason.endswith("of 50 requests came so far; the next pass sends more golden ones")
    ]
    assert short
    assert {line.verdict for line in short} == {Verdict.INSUFFICIENT_DATA}
    [evidence] = map(parse_evidence, evidence_of(served.world.url, lines[-1].commit)[1].values())
    assert evidence.observation.replay.sent == 8
    assert evidence.observation.requests >= 42
    assert agrees(evidence)


def test_passes_that_are_short_of_time_still_find_a_wrong_answer(served):
    served.world.release(served.world.publish(**POLICY))
    served.world.release(served.world.publish(answers=3.0, **POLICY))
    served.reconcile()
    lines: list[Line] = []
    served.until(lambda: lines.append(served.promote(replay_seconds=0.0)) or lines[-1].action == "rolled back", 60)
    assert "of 8 golden requests were answered wrongly" in lines[-1].reason


def test_wrong_answers_take_a_version_out_at_once(served):
    served.world.release(served.world.publish(**POLICY))
    wrong = served.world.publish(answers=3.0, **{**POLICY, "soak": "1h"})
    served.world.release(wrong)
    served.reconcile()
    line = served.promote_until("rolled back")
    assert line.reason.endswith(" golden requests were answered wrongly; none is allowed")
    snapshot = read(served.world.url)
    assert snapshot.release(served.world.first, "toy").number == 1
    assert snapshot.held(served.world.first, wrong)


def test_a_moment_in_which_nothing_answers_takes_no_version_out(served):
    policy = {**POLICY, "min_requests": 8, "replay": 8}
    served.world.release(served.world.publish(**policy))
    newer = served.world.publish(**policy)
    served.world.release(newer)
    served.reconcile()
    with standing_still_once(served.triton.ports.grpc) as (address, stood_still):
        line = served.promote_until("requested", address)
        assert stood_still.is_set()
    replay = parse_evidence(next(iter(evidence_of(served.world.url, line.commit)[1].values()))).observation.replay
    assert (replay.sent, replay.failed) == (8, 0)


def test_a_version_that_is_not_served_yet_waits(served):
    served.world.release(served.world.publish(**POLICY))
    assert served.promote().action == "waiting"


def test_a_triton_that_dies_takes_no_version_out(served):
    served.world.release(served.world.publish(**POLICY))
    newer = served.world.publish(**{**POLICY, "soak": "1h"})
    served.world.release(newer)
    served.reconcile()
    served.until(lambda: served.promote().reason.startswith("ready for"))
    served.triton.kill()
    line = served.promote()
    assert line.verdict in (Verdict.ERROR, Verdict.INSUFFICIENT_DATA)
    assert read(served.world.url).release(served.world.first, "toy") == newer


def test_prometheus_down_changes_nothing_although_triton_answers(served, free_port):
    served.world.release(served.world.publish(answers=3.0, **POLICY))
    served.reconcile()
    before = served.world.heads()
    served.world = replace(served.world, prometheus_url=f"http://127.0.0.1:{free_port}")
    with pytest.raises(TryAgain):
        served.promote()
    assert served.world.heads() == before
    assert requests(served.world.url) == []
