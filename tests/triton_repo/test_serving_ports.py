"""What a server tells and does at its ports, and to whom."""

from __future__ import annotations

import time
import urllib.error
import urllib.request

import pytest
from serving_steps import reconcile, scale_of
from triton_toys import Shop, golden

from slipway.errors import Misconfigured
from triton_repo.control import TritonControl
from triton_repo.replay import replay


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
