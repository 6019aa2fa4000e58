"""Which models a push changed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from env_world import PERSON

from hera_workflows.steps.plan import Tree, changed_models, plan, plan_push
from slipway.change import Change
from slipway.errors import Rejected

ZEROS = "0" * 40
YAML = "name: {name}\ntask: multiclass-classification\ntrain: {{gpus: 2, cpu: '4', memory: 8Gi, timeout: 2h}}\n"


class Source:
    """A source repository that a person pushes to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.first = ""  # the commit that the `source` fixture begins with
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "uploadpack.allowFilter", "true")
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
        changes, _ = plan_push(str(self.folder), before, after)
        return {change.model: (change.action, change.why) for change in changes}


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "source").mkdir()
    found = Source(tmp_path / "source")
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


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"models/digits/model.py": "2"}, {"digits": ("changed", "models/digits/model.py")}),
        ({"models/digits/deep/er/x.py": "2"}, {"digits": ("changed", "models/digits/deep/er/x.py")}),
        (
            {"features.py": "2"},
            {"digits": ("changed", "shared code features.py"), "other": ("changed", "shared code features.py")},
        ),
        (
            {"models/util.py": "2"},
            {"digits": ("changed", "shared code models/util.py"), "other": ("changed", "shared code models/util.py")},
        ),
        ({"README.md": "2", "docs/x.py": "2", "models/digits/NOTES.md": "2", ".gitignore": "2", "LICENSE": "2"}, {}),
        ({"models/new/model.yaml": YAML.format(name="new")}, {"new": ("changed", "models/new/model.yaml")}),
        ({"models/other/model.yaml": None}, {"other": ("deleted", "models/other/model.yaml was removed")}),
        ({}, {}),
    ],
)
def test_a_push_changes(source: Source, files: dict[str, str | None], expected: dict[str, tuple[str, str]]):
    assert source.changed(source.first, source.commit(files)) == expected


def test_a_push_over_several_commits_counts_as_one(source: Source):
    source.commit({"models/digits/model.py": "2"})
    after = source.commit({"models/other/model.py": "2"})
    assert set(source.changed(source.first, after)) == {"digits", "other"}


@pytest.mark.parametrize("before", [ZEROS, "1" * 40])
def test_without_a_known_commit_before_every_model_changed(source: Source, before: str):
    why = ("changed", "the commit before this push is not known")
    assert source.changed(before, source.first) == {"digits": why, "other": why}
    changes, _ = plan_push(f"file://{source.folder}", before, source.first)
    assert [change.model for change in changes] == ["digits", "other"]


def test_a_url_gives_the_same_answer_as_a_folder(source: Source):
    after = source.commit({"models/digits/model.py": "2", "models/other/model.yaml": None})
    assert plan_push(f"file://{source.folder}", source.first, after) == plan_push(
        str(source.folder),
        source.first,
        after,
    )


def test_a_deleted_branch_changes_nothing(source: Source):
    assert plan_push(str(source.folder), source.first, ZEROS) == ([], [])


def test_an_unknown_commit_is_refused(source: Source):
    with pytest.raises(Rejected, match="has no commit 2222"):
        plan_push(str(source.folder), ZEROS, "2" * 40)


def test_a_change_says_what_training_needs(source: Source):
    changes, _ = plan_push(str(source.folder), source.first, source.commit({"models/digits/model.py": "2"}))
    assert changes == [
        Change(
            model="digits",
            action="changed",
            commit=source.git("rev-parse", "HEAD"),
            why="models/digits/model.py",
            gpus="2",
            cpu="4",
            memory="8Gi",
            timeout_seconds="7200",
        )
    ]


def test_errors_in_one_model_do_not_stop_the_others(source: Source):
    after = source.commit({"models/digits/model.yaml": "name: digits\ntusk: x\n", "models/other/model.py": "2"})
    changes, problems = plan_push(str(source.folder), source.first, after)
    assert [change.model for change in changes] == ["digits", "other"]
    assert any("models/digits/model.yaml:2:1:" in problem for problem in problems)


def test_nothing_but_models_with_errors_is_refused_with_every_error(source: Source):
    after = source.commit({"models/digits/model.yaml": "tusk: x\n", "models/other/model.yaml": "name: third\n"})
    with pytest.raises(Rejected) as refused:
        plan_push(str(source.folder), source.first, after)
    assert "models/digits/model.yaml:" in str(refused.value)
    assert "models/other/model.yaml:" in str(refused.value)


def test_a_folder_and_a_name_that_differ_are_an_error(source: Source):
    after = source.commit({"models/digits/model.yaml": YAML.format(name="numbers")})
    with pytest.raises(Rejected, match="its name is numbers, its folder digits; give both the same name"):
        plan_push(str(source.folder), source.first, after)


@pytest.mark.parametrize("name", ["Digits", "-x", "x" * 64, "dіgits", "a b", "x.lock", "a\nb"])
def test_a_folder_that_cannot_be_a_model_is_refused(source: Source, name: str):
    after = source.commit({f"models/{name}/model.yaml": YAML.format(name="digits")})
    with pytest.raises(Rejected, match="is not a model name"):
        plan_push(str(source.folder), source.first, after)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../etc/passwd", "../../.."])
def test_a_link_out_of_the_repository_is_refused(source: Source, target: str):
    (source.folder / "models/digits/data").symlink_to(target)
    after = source.commit({})
    with pytest.raises(Rejected, match="outside the repository"):
        plan_push(str(source.folder), source.first, after)


def test_a_link_inside_the_repository_is_a_file_like_any_other(source: Source):
    (source.folder / "models/digits/features.py").symlink_to("../../features.py")
    assert set(source.changed(source.first, source.commit({}))) == {"digits"}


def test_a_submodule_in_a_model_is_refused(source: Source):
    source.git("update-index", "--add", "--cacheinfo", f"160000,{'3' * 40},models/digits/vendor")
    source.git("commit", "--quiet", "--message", "submodule")
    with pytest.raises(Rejected, match="is a submodule"):
        plan_push(str(source.folder), source.first, source.git("rev-parse", "HEAD"))


def test_a_model_folder_that_lost_its_yaml_long_ago_is_shared_code():
    tree = Tree({"models/a/model.yaml": "1", "models/old/x.py": "1"}, {}, {})
    assert changed_models(tree, tree, ["models/old/x.py"]) == {"a": "shared code models/old/x.py"}


def test_the_step_writes_json_that_the_workflow_fans_out_over(source: Source, tmp_path: Path):
    after = source.commit({"models/digits/model.py": "2"})
    output = tmp_path / "changes.json"
    plan.main(
        [
            *("--source-repo", str(source.folder), "--before", source.first),
            *("--after", after, "--output", str(output)),
        ],
        standalone_mode=False,
    )
    (change,) = json.loads(output.read_text())
    assert (change["model"], change["action"], change["gpus"]) == ("digits", "changed", "2")
