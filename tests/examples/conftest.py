"""A yard for each module: where an example is taken through train, validate and publish."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Test modules share example_yard.py by name.
sys.path.insert(0, str(Path(__file__).parent))

from example_yard import Yard


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Yard:
    return Yard(tmp_path_factory.mktemp("yard"))
