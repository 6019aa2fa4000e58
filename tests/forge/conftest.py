"""Forges to test against: each is started once for the whole run, and gives each test a project of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from forge_world import ForgeWorld, GiteaWorld
from gitea_here import Gitea, binary, start_gitea
from github_here import GitHubHere, GitHubWorld, start_github
from gitlab_here import GitLabHere, GitLabWorld, start_gitlab


@pytest.fixture(scope="session")
def gitea(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gitea]:
    found = binary()
    if found is None:
        pytest.skip("no Gitea in the test cluster's cache; `python -m tests.cluster build` builds it")
    running = start_gitea(tmp_path_factory.mktemp("gitea"), *found)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHubHere]:
    with start_github(tmp_path_factory.mktemp("github")) as running:
        yield running


@pytest.fixture(scope="session")
def gitlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitLabHere]:
    with start_gitlab(tmp_path_factory.mktemp("gitlab")) as running:
        yield running


@pytest.fixture(params=[pytest.param("gitea", marks=pytest.mark.slow), "github", "gitlab"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> ForgeWorld:
    """One forge with an empty project: slipway's user and another person may write it."""
    kind, name = request.param, f"env-{uuid4().hex[:12]}"
    if kind == "gitea":
        return GiteaWorld(request.getfixturevalue("gitea"), name, tmp_path)
    if kind == "gitlab":
        return GitLabWorld(request.getfixturevalue("gitlab"), name, tmp_path)
    return GitHubWorld(request.getfixturevalue("github"), name)
