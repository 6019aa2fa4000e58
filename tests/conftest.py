"""How property tests run: without a deadline, as a busy machine is slow and not wrong. And a disk that is soon full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("slipway", deadline=None)
settings.load_profile("slipway")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "slipway-test", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)
