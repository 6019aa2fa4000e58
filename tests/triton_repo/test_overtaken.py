"""Two pushes of one model end in the wrong order: what the newer one released stays."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from triton_toys import Keys, again, make_candidate, make_draft

from gitops.bump import bump
from gitops.seed import default_folder, seed
from hera_workflows.steps.validate import refuse_overtaken
from slipway.errors import Rejected
from slipway.operation import Operation
from triton_repo.bundle import publish
from triton_repo.store import open_store


class Yard:
    """A source repository with the commits first ← second, and a toy of the second one in staging."""

    def __init__(self, folder: Path, keys: Keys) -> None:
        self.source, self.store, self.env = folder / "source", folder / "store", folder / "env.git"
        self.store.mkdir()
        subprocess.run(["git", "init", "-q", "-b", "main", self.source], check=True)
        self.first, self.second = self.commit(), self.commit()
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", self.env], check=True)
        seed(str(self.env), default_folder())
        candidate = make_candidate(folder / "candidate")
        draft = again(make_draft(candidate), source_commit=self.second)
        version = publish(open_store(str(self.store)), draft, candidate, keys.private)
        bump(str(self.env), version, Operation("bump/1", "bump", "staging", version))

    def commit(self) -> str:
        git = ["git", "-C", str(self.source), "-c", "user.name=Ada", "-c", "user.email=ada@localhost"]
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
        return subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()

    def refuse(self, commit: str, model: str = "toy") -> None:
        refuse_overtaken(model, commit, str(self.store), str(self.env), str(self.source))


@pytest.fixture
def yard(tmp_path: Path, keys: Keys) -> Yard:
    return Yard(tmp_path, keys)


def test_an_older_commit_does_not_take_the_place_of_one_that_was_made_on_top_of_it(yard: Yard):
    with pytest.raises(Rejected, match=rf"staging serves toy@1 of {yard.second[:12]}, which was made on top of"):
        yard.refuse(yard.first)


def test_the_same_commit_may_be_released_again(yard: Yard):
    yard.refuse(yard.second)


def test_a_newer_commit_takes_its_place(yard: Yard):
    yard.refuse(yard.commit())


def test_a_model_that_is_not_served_yet_overtakes_nothing(yard: Yard):
    yard.refuse(yard.first, "other")


def test_a_version_that_left_the_store_keeps_nobody_out(yard: Yard):
    (yard.store / "toy").rename(yard.store.parent / "lost")
    yard.refuse(yard.first)
