"""What tests of serving do, and what they look at."""

from __future__ import annotations

from triton_toys import Shop, golden

from slipway.version import ModelVersion
from triton_repo.replay import replay
from triton_repo.serving import Result, serve


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
