"""Of two pushes that end in the wrong order, the older one is found out by what its commit became."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gitops.ancestry import overtaken
from slipway.errors import TryAgain


class Source:
    """A source repository with the commits first ← second on main."""

    def __init__(self, folder: Path, scheme: str) -> None:
        self.folder, self.url = folder, f"{scheme}{folder}"
        subprocess.run(["git", "init", "-q", "-b", "main", folder], check=True)
        self.git("config", "uploadpack.allowFilter", "true")
        self.first, self.second = self.commit(), self.commit()

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", self.folder, "-c", "user.name=Ada", "-c", "user.email=ada@localhost", *arguments]
        return subprocess.check_output(command, text=True).strip()

    def commit(self) -> str:
        self.git("commit", "-q", "--allow-empty", "-m", "x")
        return self.git("rev-parse", "HEAD")


@pytest.fixture(params=["", "file://"], ids=["folder", "url"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    return Source(tmp_path / "source", request.param)


def test_a_commit_is_overtaken_by_one_that_was_made_on_top_of_it(source: Source):
    assert overtaken(source.url, source.first, by=source.second)


def test_a_newer_commit_is_not_overtaken_by_an_older_one(source: Source):
    assert not overtaken(source.url, source.second, by=source.first)


def test_a_commit_does_not_overtake_itself(source: Source):
    assert not overtaken(source.url, source.second, by=source.second)


def test_a_commit_that_main_was_set_back_to_is_wanted(source: Source):
    source.git("reset", "-q", "--hard", source.first)
    assert not overtaken(source.url, source.first, by=source.second)


def test_a_commit_is_overtaken_on_the_branch_whose_pushes_count(source: Source):
    source.git("branch", "-m", "main", "develop")
    assert overtaken(source.url, source.first, by=source.second, branch="develop")


def test_a_commit_of_another_history_overtakes_nothing(source: Source):
    assert not overtaken(source.url, source.first, by="1" * 40)


def test_a_repository_that_does_not_answer_is_tried_again():
    with pytest.raises(TryAgain):
        overtaken("http://127.0.0.1:9/source.git", "1" * 40, by="2" * 40)
