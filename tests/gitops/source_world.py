"""A source repository that a person pushes to, and what plan says of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from env_world import PERSON

from gitops.remote import opened
from hera_workflows.pushed import changes_of
from slipway.change import Change

__all__ = ["YAML", "Source", "first_push", "planned"]

YAML = """\
name: {name}
task: multiclass-classification
train:
  gpus: 2
  cpu: "4"
  memory: 8Gi
  ephemeral_storage: 20Gi
  node_selector: {{cloud.example/accelerator: h200}}
  tolerations: [{{key: nvidia.com/gpu, operator: Exists}}, {{key: team, value: vision, effect: NoExecute}}]
  timeout: 2h
"""


class Source:
    """A source repository that a person pushes to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.first = ""  # the commit that the `source` fixture begins with
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "uploadpack.allowFilter", "true")
        self.git("config", "uploadpackfilter.tree.maxDepth", "0")  # as strict as github.com
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")

    def git(self, *arguments: str) -> str:
        return subprocess.check_output(
            ["git", "-C", self.folder, *arguments], text=True, env={**os.environ, **PERSON}
        ).strip()

    def commit(self, files: dict[str, str | None]) -> str:
        for path, content in files.items():
            place = self.folder / path
            if content is None:
                place.unlink()
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "x")
        return self.git("rev-parse", "HEAD")

    def changed(self, before: str, after: str) -> dict[str, tuple[str, str]]:
        changes, _ = planned(self.folder, before, after)
        return {change.model: (change.action, change.why) for change in changes}


def planned(url: Path | str, before: str, after: str) -> tuple[list[Change], dict[str, str]]:
    """What plan says of a push to the repository at `url`."""
    with opened(str(url)) as remote:
        return changes_of(remote, [before], after)


def first_push(folder: Path) -> Source:
    """A repository at `folder` with two models, code that they share, and a README."""
    folder.mkdir()
    found = Source(folder)
    found.first = found.commit(
        {
            "models/digits/model.yaml": YAML.format(name="digits"),
            "models/digits/model.py": "1",
            "models/other/model.yaml": YAML.format(name="other"),
            "features.py": "1",
            "README.md": "1",
        }
    )
    return found
