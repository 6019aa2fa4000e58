"""A real bare environment repository for each test, reached as a folder and as a URL."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from env_world import World
from source_world import Source, first_push

from gitops.seed import default_folder, seed

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A source repository with two models."""
    return first_push(tmp_path / "source")


@pytest.fixture
def empty(tmp_path: Path) -> World:
    """A bare repository without a commit."""
    repo = tmp_path / "env.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", repo], check=True)
    subprocess.run(["git", "-C", repo, "config", "uploadpack.allowFilter", "true"], check=True)
    # As strict as github.com.
    subprocess.run(["git", "-C", repo, "config", "uploadpackfilter.tree.maxDepth", "0"], check=True)
    return World(repo, str(repo), tmp_path)


@pytest.fixture
def world(empty: World) -> World:
    """A seeded environment repository: staging takes versions directly, production after it by pull request."""
    seed(empty.url, default_folder())
    return empty


@pytest.fixture(params=["folder", "url"])
def anywhere(request: pytest.FixtureRequest, world: World) -> World:
    """The same, once as a folder and once through git's protocol."""
    return world if request.param == "folder" else World(world.repo, f"file://{world.repo}", world.tmp)


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """golden(name, text) compares with golden/<name>; set UPDATE_GOLDEN=1 to write it."""
    import os

    def compare(name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / name
        if os.environ.get("UPDATE_GOLDEN"):
            path.write_text(text)
        assert text == path.read_text()

    return compare
