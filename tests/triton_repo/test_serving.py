"""A server comes to serve exactly the wanted versions, whatever happens on the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from serving_steps import on_disk, reconcile, scale_of, served, states
from triton_toys import SECRET, Shop

from slipway.errors import Rejected
from triton_repo.control import TritonControl
from triton_repo.server import start_triton
from triton_repo.serving import serve
from triton_repo.store import open_store

pytestmark = pytest.mark.slow


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


def states_from_another_store(shop: Shop, folder: Path, model: bytes | None = None) -> list[str]:
    """What becomes of toy@1 where toy@1 of another store is served, twice."""
    reconcile(shop, shop.publish(2.0))
    (folder / "other" / "store").mkdir(parents=True)
    other = replace(shop, store=open_store(str(folder / "other" / "store")))
    version = replace(other, folder=folder / "other").publish(3.0, model=model)
    assert version.number == 1
    return [states(reconcile(other, version))["toy"] for _ in range(2)]


def test_another_stores_version_of_the_same_number_is_loaded(shop: Shop, tmp_path: Path) -> None:
    assert states_from_another_store(shop, tmp_path) == ["ready", "unchanged"]
    assert scale_of(shop, 1) == 3.0


def test_what_is_served_is_never_taken_for_another_stores_version_of_its_number(shop: Shop, tmp_path: Path) -> None:
    assert states_from_another_store(shop, tmp_path, model=b"this is no ONNX") == ["failed", "failed"]
    assert served(shop) == {}


def test_a_tampered_version_is_never_loaded(shop: Shop) -> None:
    good, bad = shop.publish(2.0), shop.publish(3.0)
    reconcile(shop, good)
    folder = shop.store.local_path("toy", 2)
    assert folder is not None
    with (folder / "2" / "model.py").open("a") as file:
        file.write("\nraise SystemExit\n")
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
