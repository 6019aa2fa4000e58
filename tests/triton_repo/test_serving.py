"""A server comes to serve exactly the wanted versions, whatever happens on the way."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from triton_toys import SECRET, Shop, golden

from slipway.errors import Misconfigured, Rejected, TryAgain
from slipway.version import ModelVersion
from triton_repo.control import TritonControl
from triton_repo.replay import replay
from triton_repo.server import start_triton
from triton_repo.serving import POINTS, Result, serve

VICTIM = Path(__file__).with_name("victim.py")


def reconcile(shop: Shop, *wanted: ModelVersion) -> list[Result]:
    return serve(shop.store, shop.control, shop.repository, wanted, verify_key=shop.keys.public, timeout=30)


def states(results: list[Result]) -> dict[str, str]:
    return {result.model: result.state for result in results}


def served(shop: Shop) -> dict[str, list[int | None]]:
    """The READY versions by model."""
    found: dict[str, list[int | None]] = {}
    for entry in shop.control.index():
        if entry.state == "READY":
            found.setdefault(entry.model, []).append(entry.number)
    return found


def on_disk(shop: Shop) -> list[str]:
    return sorted(str(path.relative_to(shop.repository)) for path in shop.repository.glob("*/*"))


def scale_of(shop: Shop, number: int) -> float:
    """By what the served version multiplies."""
    for scale in (2.0, 3.0, 5.0):
        if replay(shop.triton.grpc_address, "toy", number, golden(scale), 10, 1e-6).mismatched == 0:
            return scale
    raise AssertionError("the served version answers nothing known")


def test_a_published_version_is_served_by_triton(shop: Shop) -> None:
    version = shop.publish(2.0)
    assert states(reconcile(shop, version)) == {"toy": "ready"}
    assert served(shop) == {"toy": [1]}
    assert shop.control.ready("toy", 1)
    assert scale_of(shop, 1) == 2.0


def test_serving_the_same_again_touches_nothing(shop: Shop) -> None:
    version = shop.publish(2.0)
    reconcile(shop, version)
    before = {path: path.stat().st_mtime_ns for path in shop.repository.rglob("*")}
    assert states(reconcile(shop, version)) == {"toy": "unchanged"}
    assert {path: path.stat().st_mtime_ns for path in shop.repository.rglob("*")} == before


def test_a_new_version_replaces_the_old_one(shop: Shop) -> None:
    first, second = shop.publish(2.0), shop.publish(3.0)
    reconcile(shop, first)
    reconcile(shop, second)
    assert served(shop) == {"toy": [2]}
    assert scale_of(shop, 2) == 3.0
    assert on_disk(shop) == ["toy/2", "toy/config.pbtxt"]


def test_an_older_version_comes_back_as_easily(shop: Shop) -> None:
    first, second = shop.publish(2.0), shop.publish(3.0)
    for version in (first, second, first):
        reconcile(shop, version)
    assert served(shop) == {"toy": [1]}
    assert scale_of(shop, 1) == 2.0


def test_a_model_that_is_wanted_no_longer_is_unloaded_and_removed(shop: Shop) -> None:
    toy, other = shop.publish(2.0), shop.publish(3.0, name="other")
    reconcile(shop, toy, other)
    assert states(reconcile(shop, other)) == {"other": "unchanged", "toy": "removed"}
    assert served(shop) == {"other": [1]}
    assert [path.name for path in shop.repository.iterdir()] == ["other"]


def test_a_version_that_does_not_load_leaves_the_old_one_serving(shop: Shop) -> None:
    good, bad = shop.publish(2.0), shop.publish(3.0, model=b"this is no ONNX")
    reconcile(shop, good)
    (result,) = reconcile(shop, bad)
    assert result.state == "failed"
    assert "toy@2 does not load" in result.reason
    assert "still serving toy@1" in result.reason
    assert "\n" not in result.reason
    assert served(shop) == {"toy": [1]}
    assert scale_of(shop, 1) == 2.0


def test_after_a_failed_load_the_config_is_that_of_the_served_version(shop: Shop) -> None:
    good, bad = shop.publish(2.0), shop.publish(3.0, model=b"this is no ONNX")
    reconcile(shop, good)
    reconcile(shop, bad)
    assert "versions: 1" in (shop.repository / "toy" / "config.pbtxt").read_text()
    assert states(reconcile(shop, good)) == {"toy": "unchanged"}
    assert on_disk(shop) == ["toy/1", "toy/config.pbtxt"]


def test_a_version_that_follows_a_failed_one_is_served(shop: Shop) -> None:
    good, bad, better = shop.publish(2.0), shop.publish(3.0, model=b"this is no ONNX"), shop.publish(5.0)
    for version in (good, bad, better):
        results = reconcile(shop, version)
    assert states(results) == {"toy": "ready"}
    assert scale_of(shop, 3) == 5.0


def test_the_first_version_of_a_model_may_fail_without_harm_to_others(shop: Shop) -> None:
    bad, good = shop.publish(2.0, model=b"?"), shop.publish(3.0, name="zebra")
    assert states(reconcile(shop, bad, good)) == {"toy": "failed", "zebra": "ready"}


def test_a_tampered_version_is_never_loaded(shop: Shop) -> None:
    good, bad = shop.publish(2.0), shop.publish(3.0)
    reconcile(shop, good)
    folder = shop.store.local_path("toy", 2)
    assert folder is not None
    with (folder / "2" / "model.py").open("a") as file:
        file.write("\nimport os; os.system('true')\n")
    (result,) = reconcile(shop, bad)
    assert (result.state, "is not the file that was published" in result.reason) == ("failed", True)
    assert served(shop) == {"toy": [1]}


def test_two_versions_of_one_model_cannot_be_wanted(shop: Shop) -> None:
    with pytest.raises(Rejected, match="two versions of one model"):
        reconcile(shop, shop.publish(2.0), shop.publish(3.0))


def test_a_restarted_server_is_healed(shop: Shop) -> None:
    version = shop.publish(2.0)
    reconcile(shop, version)
    shop.triton.stop()
    triton = start_triton(shop.repository, shop.triton.run_dir, secret=SECRET)
    try:
        with TritonControl(triton.grpc_address, SECRET) as control:
            assert not any(entry.state == "READY" for entry in control.index())
            results = serve(shop.store, control, shop.repository, [version], verify_key=None, timeout=30)
            assert states(results) == {"toy": "ready"}
            assert control.ready("toy", 1)
    finally:
        triton.stop()


def test_what_somebody_put_beside_a_served_version_is_removed(shop: Shop) -> None:
    version = shop.publish(2.0)
    reconcile(shop, version)
    (shop.repository / "toy" / "3.tmp").mkdir()
    reconcile(shop, version)
    assert on_disk(shop) == ["toy/1", "toy/config.pbtxt"]
    assert served(shop) == {"toy": [1]}


def test_a_folder_that_is_no_model_is_neither_served_nor_removed(shop: Shop) -> None:
    (shop.repository / "lost+found").mkdir()
    assert states(reconcile(shop, shop.publish(2.0))) == {"toy": "ready"}
    assert (shop.repository / "lost+found").is_dir()


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


@pytest.mark.slow
def test_no_request_fails_while_versions_are_switched_under_load(shop: Shop) -> None:
    scales = {1: 2.0, 2: 3.0, 3: 5.0}
    versions = [shop.publish(scale) for scale in scales.values()]
    reconcile(shop, versions[0])
    with traffic(shop, scales) as wrong:
        for version in (versions[1], versions[2], versions[0], versions[2]):
            reconcile(shop, version)
    assert wrong == []


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    results = serve(shop.store, shop.control, shop.repository, [bad, good], verify_key=None, timeout=4)
    assert states(results) == {"a-hanging-one": "failed", "toy": "ready"}
    assert "was not loaded within 4 s" in results[0].reason


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


def test_control_without_the_secret_is_refused(shop: Shop) -> None:
    with TritonControl(shop.triton.grpc_address, None) as control:
        for call in (control.index, lambda: control.load("toy"), lambda: control.unload("toy")):
            with pytest.raises(Misconfigured, match="give the secret it was started with"):
                call()


def test_control_over_http_without_the_secret_is_refused(shop: Shop) -> None:
    base = f"http://127.0.0.1:{shop.triton.ports.http}/v2"
    for path in ("/repository/index", "/repository/models/toy/load", "/systemsharedmemory/region/x/register"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{base}{path}", data=b"{}", timeout=5)
        assert refused.value.code == 403, path


def test_health_and_inference_need_no_secret(shop: Shop) -> None:
    reconcile(shop, shop.publish(2.0))
    base = f"http://127.0.0.1:{shop.triton.ports.http}/v2"
    for path in ("/health/live", "/models/toy/ready", "/models/toy/versions/1/ready", "/models/toy"):
        with urllib.request.urlopen(f"{base}{path}", timeout=5) as answer:
            assert answer.status == 200
    assert scale_of(shop, 1) == 2.0


def successes(shop: Shop) -> int:
    """Triton's own count for toy@1."""
    with urllib.request.urlopen(f"http://127.0.0.1:{shop.triton.ports.metrics}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    assert 'nv_inference_request_summary_us{model="toy",version="1",quantile="0.95"}' in text
    return int(text.split('nv_inference_request_success{model="toy",version="1"} ')[1].split("\n")[0])


def test_metrics_count_requests_by_model_and_version(shop: Shop) -> None:
    reconcile(shop, shop.publish(2.0))
    before = successes(shop)
    replay(shop.triton.grpc_address, "toy", 1, golden(2.0), 5, 1e-6)
    deadline = time.monotonic() + 10
    while (seen := successes(shop) - before) < 5 and time.monotonic() < deadline:
        pass
    assert seen == 5


def test_warm_up_is_counted_by_triton_as_one_request_for_each_row(shop: Shop) -> None:
    # Whoever reads the counter must start from its value at READY, not from 0.
    reconcile(shop, shop.publish(2.0))
    assert successes(shop) == 1 + 8
