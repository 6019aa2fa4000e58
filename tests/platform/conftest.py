"""What the platform's tests share: platforms that run, and waiting for a fact of the outside world, with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hera_workflows.platform.up import down, up
from hera_workflows.settings import Platform


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """Wait for a condition to hold; fails after `timeout` seconds."""

    def wait(condition: Callable[[], object], timeout: float = 20.0) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.02)

    return wait


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project without a model; what runs for it is stopped at the end."""
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    yield folder
    stop_platform(folder / ".slipway")


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform that runs, for tests that only look at it."""
    folder = tmp_path_factory.mktemp("living")
    (folder / "models").mkdir()
    try:
        yield up(folder)[0]
    finally:
        stop_platform(folder / ".slipway")


def stop_platform(home: Path) -> None:
    if home.is_dir():
        down(home)
