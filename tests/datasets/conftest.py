"""A cache, a site, and a fetch that knows both."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Test modules share loopback.py by name.
sys.path.insert(0, str(Path(__file__).parent))

from loopback import Site, serving

from hera_workflows.learning.datasets.fetch import Fetched, fetch
from slipway.spec import DataSource


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def url(site: Site) -> Iterator[str]:
    with serving(site) as base:
        yield base


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def get(cache: Path, tmp_path: Path) -> Callable[..., Fetched]:
    """Fetch a URL as model.yaml would declare it."""

    def got(url: str, digest: str | None = None, *, format: str = "files", stall: float = 10.0, **more: object):
        source = DataSource.model_validate({"url": url, "format": format, "digest": digest, **more})
        return fetch("points", source, tmp_path / "model", cache, stall=stall)

    return got
