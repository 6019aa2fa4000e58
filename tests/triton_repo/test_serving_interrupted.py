"""Requests go on and every reconcile is finished by the next, whoever is killed or switched."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from serving_steps import on_disk, reconcile, served, states
from triton_toys import SECRET, Shop

from slipway.errors import TryAgain
from slipway.version import ModelVersion
from triton_repo.control import TritonControl
from triton_repo.server import start_triton
from triton_repo.serving import POINTS, serve

pytestmark = pytest.mark.slow

VICTIM = Path(__file__).with_name("victim.py")


@contextmanager
def traffic(shop: Shop, versions: dict[int, float]) -> Iterator[list[str]]:
    """Ask for the model, whatever its version, without a pause; yields what went wrong."""
    import tritonclient.grpc as triton

    wrong: list[str] = []
    answered: list[int] = []
    stop = threading.Event()
    row = np.ones((1, 4), np.float32)

    def ask() -> None:
        with triton.InferenceServerClient(shop.triton.grpc_address) as client:
            while not stop.is_set():
                tensor = triton.InferInput("x", [1, 4], "FP32")
                tensor.set_data_from_numpy(row)
                try:
                    result = client.infer("toy", [tensor], client_timeout=10)
                except triton.InferenceServerException as error:
                    wrong.append(str(error))
                    continue
                number = int(result.get_response().model_version)
                answered.append(number)
                if not np.array_equal(result.as_numpy("y"), row * versions[number]):
                    wrong.append(f"version {number} gave a wrong answer")

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield wrong
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=20)
    assert set(answered) == set(versions), "every version must have been asked"


def test_no_request_fails_while_versions_are_switched_under_load(shop: Shop) -> None:
    scales = {1: 2.0, 2: 3.0, 3: 5.0}
    versions = [shop.publish(scale) for scale in scales.values()]
    reconcile(shop, versions[0])
    with traffic(shop, scales) as wrong:
        for version in (versions[1], versions[2], versions[0], versions[2]):
            reconcile(shop, version)
    assert wrong == []


def test_the_old_version_answers_all_along_while_a_bad_one_fails_to_load(shop: Shop) -> None:
    good, bad = shop.publish(2.0), shop.publish(3.0, model=b"this is no ONNX")
    reconcile(shop, good)
    with traffic(shop, {1: 2.0}) as wrong:
        assert states(reconcile(shop, bad)) == {"toy": "failed"}
        assert shop.control.ready("toy", 1)
    assert wrong == []


def killed(shop: Shop, point: str, *wanted: ModelVersion) -> int:
    arguments = [shop.store.root, shop.triton.grpc_address, SECRET, str(shop.repository)]
    arguments += [f"{version.name}@{version.number}@{version.digest}" for version in wanted]
    return subprocess.run([sys.executable, str(VICTIM), "serve", point, *arguments], timeout=60, check=False).returncode


def test_a_reconcile_killed_anywhere_is_finished_by_the_next(shop: Shop) -> None:
    # One server for all points: what one of them left behind must not harm the next.
    scales = {number: float(number + 1) for number in range(1, len(POINTS) + 2)}
    gone = [shop.publish(2.0, name=f"gone-{index}") for index in range(len(POINTS))]
    versions = [shop.publish(scale) for scale in scales.values()]
    reconcile(shop, versions[0], gone[0])
    for index, point in enumerate(POINTS):
        # Toy is switched and gone-N is removed, so that every point is passed.
        assert killed(shop, point, versions[index + 1]) == -signal.SIGKILL, point
        assert served(shop)["toy"] in ([index + 1], [index + 2]), point
        following = gone[index + 1 : index + 2]
        assert {r.state for r in reconcile(shop, versions[index + 1], *following)} <= {"ready", "unchanged", "removed"}
        names = {version.name: [version.number] for version in following}
        assert served(shop) == {"toy": [index + 2], **names}, point
        assert not list((shop.folder / "repository.staging").iterdir()), point


def test_a_reconcile_killed_in_a_failing_load_is_repaired_by_the_next(shop: Shop) -> None:
    good, bad = shop.publish(2.0), shop.publish(3.0, model=b"this is no ONNX")
    reconcile(shop, good)
    assert killed(shop, "configured", bad) == -signal.SIGKILL
    assert "versions: 2" in (shop.repository / "toy" / "config.pbtxt").read_text()
    assert states(reconcile(shop, bad)) == {"toy": "failed"}
    assert "versions: 1" in (shop.repository / "toy" / "config.pbtxt").read_text()
    assert states(reconcile(shop, good)) == {"toy": "unchanged"}


def test_a_triton_killed_while_loading_is_reported_and_healed_by_the_next(shop: Shop) -> None:
    version = shop.publish(2.0)

    def kill(point: str) -> None:
        if point == "configured":
            threading.Timer(0.15, shop.triton.kill).start()

    with pytest.raises(TryAgain, match="did not answer"):
        serve(shop.store, shop.control, shop.repository, [version], verify_key=None, timeout=30, at=kill)
    triton = start_triton(shop.repository, shop.triton.run_dir, secret=SECRET)
    try:
        with TritonControl(triton.grpc_address, SECRET) as control:
            results = serve(shop.store, control, shop.repository, [version], verify_key=None, timeout=30)
        assert states(results) == {"toy": "ready"}
    finally:
        triton.stop()


def test_a_model_that_never_finishes_loading_does_not_hold_up_the_others(shop: Shop) -> None:
    hangs = b"import time\nclass TritonPythonModel:\n    def initialize(self, args):\n        time.sleep(3600)\n"
    bad, good = shop.publish(2.0, name="a-hanging-one", code=hangs), shop.publish(3.0)
    results = serve(shop.store, shop.control, shop.repository, [bad, good], verify_key=None, timeout=10)
    assert states(results) == {"a-hanging-one": "failed", "toy": "ready"}
    assert "was not loaded within 10 s" in results[0].reason


def test_two_reconciles_at_once_run_one_after_the_other(shop: Shop) -> None:
    first, second = shop.publish(2.0), shop.publish(3.0)
    threads = [threading.Thread(target=reconcile, args=(shop, version)) for version in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    (numbers,) = served(shop).values()
    assert numbers in ([1], [2])
    assert on_disk(shop) == [f"toy/{numbers[0]}", "toy/config.pbtxt"]
