"""Fixtures of the workflow tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from workflow_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A root and a workspace in which workflows are run."""
    (tmp_path / "workspace").mkdir()
    return Bench(tmp_path)
