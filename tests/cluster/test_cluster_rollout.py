"""A release of another version loses no request, and what is not as published never serves."""

from __future__ import annotations

import shutil
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from gitops.installation import Installation
from tests.cluster import own_images
from tests.cluster.asking import until
from tests.cluster.serving import MODEL, Served, serve_from
from tests.cluster.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.kube import Kube
    from tests.cluster.place import Place

pytestmark = pytest.mark.slow


@pytest.fixture
def served(kube: Kube, about: dict[str, Any], place: Place, tmp_path: Path) -> Iterator[Served]:
    """A namespace and a prefix of the models' bucket, both gone afterwards."""
    name = f"serving-{uuid.uuid4().hex[:8]}"
    try:
        images = {target: own_images.reference(target) for target in ("light", "triton")}
        yield serve_from(kube, about, name, tmp_path, Installation(**images, store=f"s3://models/{name}"))
    finally:
        kube.run("delete", "namespace", name, "--ignore-not-found", "--wait=true", seconds=180)
        shutil.rmtree(place.path("s3/models", name), ignore_errors=True)


@pytest.mark.timeout(1500)
def test_ten_releases_and_two_rollbacks_under_traffic_lose_no_request(served: Served) -> None:
    served.release(served.publish())
    served.wait()
    with Traffic(served.address(), MODEL) as traffic:
        for _ in range(10):
            version = served.publish()
            served.release(version)
            served.wait()
            until(lambda number=version.number: traffic.answered_by(number) or None, 60, f"{version} answers")
        for bad in (11, 10):
            served.roll_back()
            served.wait()
            before = traffic.count(bad - 1)
            until(lambda number=bad - 1, before=before: traffic.count(number) > before or None, 60, f"{bad} is gone")
    assert {kind: seen.failures for kind, seen in traffic.seen.items()} == {"http": [], "grpc": []}
    assert all(seen.requests > 1000 for seen in traffic.seen.values())
    print(*(f"{kind}: {seen.requests} requests, slowest {seen.slowest:.2f} s" for kind, seen in traffic.seen.items()))


@pytest.mark.timeout(600)
def test_a_flipped_byte_in_the_bucket_keeps_the_new_pod_in_init_and_the_old_one_serving(
    served: Served, place: Place
) -> None:
    served.release(served.publish())
    served.wait()
    version = served.publish()
    model = place.path("s3", served.store.removeprefix("s3://"), MODEL, str(version.number), "2", "model.onnx")
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    with Traffic(served.address(), MODEL) as traffic:
        served.release(version)
        said = until(served.refusal, 180, "the new pod's fetch ends")
        before = traffic.count(1)
        until(lambda: traffic.count(1) > before + 100 or None, 60, "the old version goes on")
    assert "2/model.onnx is not the file that was published; do not serve it" in said
    assert [(set(seen.answers), seen.failures) for seen in traffic.seen.values()] == [({1}, []), ({1}, [])]
