"""The rendered push workflow, run here: training starts from the champion where model.yaml says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from example_yard import Yard, git

from hera_workflows.local.runner import run
from triton_repo.store import open_store

TEMPLATE = Path(__file__).parents[2] / "deploy" / "workflows" / "slipway-push.yaml"


def push(yard: Yard, name: str) -> dict[str, str]:
    """Run the workflow for a new commit; each step's status by its name."""
    before = git(yard.project, "rev-parse", "HEAD")
    parameters = {"source-repo": str(yard.project), "env-repo": yard.env_repo, "before": before, "after": yard.commit()}
    parameters |= {"forge": "none"}
    folders = {
        "slipway-workspace": yard.root / "workspace",
        "slipway-store": Path(yard.store),
        "slipway-signing": yard.key.parent,
    }
    folders["slipway-workspace"].mkdir(exist_ok=True)
    result = run(TEMPLATE, parameters, name=name, root=yard.root / "runs", volumes=folders, env={})
    assert result.status == "Succeeded", result
    return {node.id: node.phase for node in result.nodes}


@pytest.mark.slow
def test_a_push_starts_from_the_champion_once_model_yaml_says_so(yard: Yard):
    yard.commit()
    yaml = yard.take("line") / "model.yaml"
    first = push(yard, "push-1")
    yaml.write_text(yaml.read_text().replace("train:\n", "train:\n  from: champion\n"))
    second = push(yard, "push-2")
    assert [[v for k, v in nodes.items() if k.endswith("start")] for nodes in (first, second)] == [[], ["Succeeded"]]
    store = open_store(yard.store)
    begun = [store.manifest("line", number).training["from"] for number in (1, 2)]
    assert begun == [None, {"version": "line@1", "digest": store.version("line", 1).digest, "taken": 2, "of": 2}]
