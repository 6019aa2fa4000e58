"""One example in a project of its own, taken through train, validate and publish as the workflow's steps do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hera_workflows.learning.trained import Trained, read_trained
from hera_workflows.steps.bump import bump
from hera_workflows.steps.publish import publish_candidate
from hera_workflows.steps.start import copy_champion
from hera_workflows.steps.train import train_model
from hera_workflows.steps.validate import validate_model
from slipway.manifest import Manifest, Validation
from slipway.version import ModelVersion
from triton_repo.store import open_store

EXAMPLES = Path(__file__).parents[2] / "examples" / "models"
ENVIRONMENTS = Path(__file__).parents[2] / "envs"


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@dataclass(frozen=True)
class Shipped:
    """One run of one model."""

    folder: Path
    trained: Trained
    validation: Validation
    version: ModelVersion
    manifest: Manifest


class Yard:
    """A project, a model store, an environment repository and a key."""

    def __init__(self, root: Path) -> None:
        from gitops.seed import seed
        from triton_repo.signing import generate_keys

        self.root, self.project = root, root / "project"
        self.store, self.env_repo = str(root / "store"), str(root / "env.git")
        (root / "store").mkdir()
        (self.project / "models").mkdir(parents=True)
        git(self.project, "init", "--quiet", "--initial-branch=main")
        git(root, "init", "--quiet", "--bare", "--initial-branch=main", self.env_repo)
        seed(self.env_repo, ENVIRONMENTS)
        self.key = root / "keys" / "signing.key"
        self.key.parent.mkdir()
        generate_keys(self.key, root / "keys" / "verify.pem")

    def take(self, model: str) -> Path:
        """Copy an example into the project, with its made data; its folder."""
        folder = self.project / "models" / model
        shutil.copytree(EXAMPLES / model, folder)
        if (folder / "make_data.py").is_file():
            subprocess.run([sys.executable, "make_data.py"], cwd=folder, check=True, timeout=120)
        return folder

    def commit(self) -> str:
        git(self.project, "add", "--all")
        git(self.project, "commit", "--quiet", "--allow-empty", "--message", "Change a model")
        return git(self.project, "rev-parse", "HEAD")

    def ship(self, model: str, run: str = "push-1") -> Shipped:
        """Train, validate and publish the model at a new commit, and release it to the first environment."""
        commit, folder = self.commit(), self.root / "workspace" / run / model
        folder.mkdir(parents=True)
        if "from: champion" in (self.project / "models" / model / "model.yaml").read_text():
            copy_champion(model, folder, self.store, self.env_repo)
        train_model(self.project, commit, model, folder, cache=self.root / "workspace" / "datasets")
        validation = validate_model(model, folder, self.store, self.env_repo, "python")
        version = publish_candidate(folder, commit, run, self.store, self.key)
        manifest = open_store(self.store).manifest(model, version.number)
        flags = {"model": model, "number": version.number, "digest": version.digest, "commit": commit, "run": run}
        flags |= {"env-repo": self.env_repo, "store": self.store}
        bump.main([text for name, value in flags.items() for text in (f"--{name}", str(value))], standalone_mode=False)
        return Shipped(folder, read_trained(folder / "train"), validation, version, manifest)
