"""A world whose env repo lies on a real Gitea, and what people do there."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[1] / "forge"))

import yaml
from gitea_here import PEOPLE, Gitea
from promotion_world import World, make_world

from gitops.forge import CommitStatus, Forge, ForgeRequest
from gitops.forge.open import open_forge
from gitops.git import Git
from hera_workflows.promoter.scene import Forges

__all__ = ["Yard", "make_yard"]


@dataclass
class Yard:
    """A world, and its forge."""

    world: World
    gitea: Gitea
    env_project: str
    source_project: str

    @property
    def forge(self) -> Forge:
        """The env repo, as slipway's user."""
        assert self.world.forges is not None
        return self.world.forges.environments

    def person(self, project: str | None = None) -> Forge:
        """Grace, who approves."""
        return open_forge("gitea", self.gitea.url, project or self.env_project, self.gitea.tokens[PEOPLE[1]])

    def pull(self, number: int = 1, model: str = "toy") -> ForgeRequest | None:
        """The request of a version for the second environment."""
        return self.forge.request(f"promote/{self.world.second}/{model}-{number}")

    def comments(self, number: int) -> list[str]:
        """What a request's comments say."""
        return [each["body"] for each in self.gitea.call("GET", f"/repos/{self.env_project}/issues/{number}/comments")]

    def said(self, model: str = "toy") -> CommitStatus | None:
        """How far the model came, as its source commit says."""
        assert self.world.forges is not None
        return self.world.forges.source.statuses(self.world.source_commit).get(f"slipway/{model}")

    def third(self) -> str:
        """A third environment, which follows the first as the second does; its name."""
        clone, name = self.world.folder / "third", f"{self.world.first}-too"
        Git(clone / ".git").ask("clone", "--quiet", self.world.url, str(clone))
        path = clone / "envs/environments.yaml"
        environments = yaml.safe_load(path.read_text())
        environments["environments"].append({"name": name, "after": self.world.first})
        path.write_text(yaml.safe_dump(environments))
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", f"--work-tree={clone}")
        Git(clone / ".git").run(*who, "commit", "--quiet", "--all", "--message", "Add an environment")
        Git(clone / ".git").run("push", "--quiet", "origin", "HEAD:main")
        return name

    def press_merge(self, pull: ForgeRequest, **how: Any) -> None:
        """What the button does, as Grace."""
        words = {"Do": "merge", "head_commit_id": pull.head, **how}
        self.gitea.call("POST", f"/repos/{self.env_project}/pulls/{pull.number}/merge", words, user=PEOPLE[1])


def make_yard(folder: Path, key: Path, prometheus: Any, gitea: Gitea, repositories: Path) -> Yard:
    """Two empty environments on the forge, and a source repository with one commit."""
    name, bot = uuid4().hex[:12], PEOPLE[0]
    gitea.call("POST", "/orgs/team/repos", {"name": f"env-{name}", "default_branch": "main"})
    for person in PEOPLE:
        gitea.call("PUT", f"/repos/team/env-{name}/collaborators/{person}", {"permission": "write"})
    source = gitea.project(f"source-{name}")
    url = f"http://{bot}:{gitea.password}@{gitea.url.removeprefix('http://')}/team/env-{name}.git"
    forges = Forges(
        environments=open_forge("gitea", gitea.url, f"team/env-{name}", gitea.tokens[bot]),
        source=open_forge("gitea", gitea.url, source, gitea.tokens[bot]),
        page="https://argo.example/workflows/slipway/{}".format,
        commit=f"{gitea.url}/{source}/commit/{{}}".format,
    )
    world = replace(
        make_world(folder, key, prometheus, url),
        forges=forges,
        source_commit=gitea.call("GET", f"/repos/{source}/branches/main")["commit"]["id"],
        repository=repositories / "team" / f"env-{name}.git",
    )
    return Yard(world, gitea, f"team/env-{name}", source)
