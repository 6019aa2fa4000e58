"""What Argo CD may do."""

from __future__ import annotations

from pathlib import Path

import yaml
from installed import objects, values

VALUES = values(environments=["test", "live"], env_repo="https://example.com/environments.git")
BASE = Path(__file__).parents[2] / "envs"


def test_the_project_takes_the_environment_repository_only() -> None:
    (project,) = objects(VALUES, "AppProject")
    assert project["spec"]["sourceRepos"] == ["https://example.com/environments.git"]


def test_the_project_writes_the_namespaces_of_the_environments_only() -> None:
    (project,) = objects(VALUES, "AppProject")
    assert [d["namespace"] for d in project["spec"]["destinations"]] == ["test", "live"]


def test_the_project_makes_nothing_that_belongs_to_the_cluster() -> None:
    (project,) = objects(VALUES, "AppProject")
    assert project["spec"]["clusterResourceWhitelist"] == []


def test_the_project_takes_every_kind_that_envs_has() -> None:
    (project,) = objects(VALUES, "AppProject")
    taken = {(k["group"], k["kind"]) for k in project["spec"]["namespaceResourceWhitelist"]}
    documents = [d for path in BASE.rglob("*.yaml") for d in yaml.safe_load_all(path.read_text()) if d]
    made = {(d["apiVersion"].rpartition("/")[0], d["kind"]) for d in documents if "kind" in d and "metadata" in d}
    assert {k for k in made if not k[0].startswith("kustomize")} <= taken


def test_there_are_applications_for_the_folders_of_the_environments_and_no_others() -> None:
    (applications,) = objects(VALUES, "ApplicationSet")
    (generator,) = applications["spec"]["generators"]
    assert [d["path"] for d in generator["git"]["directories"]] == ["envs/test/*", "envs/live/*"]
