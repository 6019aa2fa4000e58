"""Which models a push changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from source_world import YAML, Source, planned

from gitops.layout import kubernetes_name
from gitops.remote import opened
from hera_workflows.changed import Tree, changed_models
from hera_workflows.pushed import back_again, changes_of
from hera_workflows.steps.plan import plan
from slipway.change import Change
from slipway.errors import Rejected
from slipway.spec import Toleration

ZEROS = "0" * 40


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
    changes, _ = planned(f"file://{source.folder}", before, source.first)
    assert [change.model for change in changes] == ["digits", "other"]


def test_a_url_gives_the_same_answer_as_a_folder(source: Source):
    after = source.commit({"models/digits/model.py": "2", "models/other/model.yaml": None})
    assert planned(f"file://{source.folder}", source.first, after) == planned(source.folder, source.first, after)


def test_a_deleted_branch_changes_nothing(source: Source):
    assert planned(source.folder, source.first, ZEROS) == ([], {})


def test_an_unknown_commit_is_refused(source: Source):
    with pytest.raises(Rejected, match="has no commit 2222"):
        planned(source.folder, ZEROS, "2" * 40)


def test_a_change_says_what_training_needs(source: Source):
    changes, _ = planned(source.folder, source.first, source.commit({"models/digits/model.py": "2"}))
    assert changes == [
        Change(
            model="digits",
            action="changed",
            commit=source.git("rev-parse", "HEAD"),
            why="models/digits/model.py",
            gpus="2",
            cpu="4",
            memory="8Gi",
            ephemeral_storage="20Gi",
            node_selector={"cloud.example/accelerator": "h200"},
            tolerations=[
                Toleration(key="nvidia.com/gpu", operator="Exists"),  # of every effect
                Toleration(key="team", value="vision", effect="NoExecute"),
            ],
            timeout_seconds="7800",  # 2h and what a pod does around its training
        )
    ]


DATA = "data:\n  train: {{url: {url}, format: csv, digest: 'sha256:{digest}'}}\n"


@pytest.mark.parametrize(
    ("url", "reach"),
    [("https://data.example/train.csv", "declared"), ("train.csv", "none"), ("/mnt/train.csv", "none")],
)
def test_only_a_model_that_declares_data_elsewhere_may_reach_it(source: Source, url: str, reach: str):
    text = YAML.format(name="digits") + DATA.format(url=url, digest="0" * 64)
    changes, problems = planned(source.folder, source.first, source.commit({"models/digits/model.yaml": text}))
    assert ([change.data for change in changes], problems) == ([reach], {})


def test_errors_in_one_model_do_not_stop_the_others(source: Source):
    after = source.commit({"models/digits/model.yaml": "name: digits\ntusk: x\n", "models/other/model.py": "2"})
    changes, problems = planned(source.folder, source.first, after)
    assert [change.model for change in changes] == ["digits", "other"]
    assert "models/digits/model.yaml:2:1:" in problems["digits"]


def test_nothing_but_models_with_errors_is_refused_with_every_error(source: Source):
    after = source.commit({"models/digits/model.yaml": "tusk: x\n", "models/other/model.yaml": "name: third\n"})
    with pytest.raises(Rejected) as refused:
        planned(source.folder, source.first, after)
    assert "models/digits/model.yaml:" in str(refused.value)
    assert "models/other/model.yaml:" in str(refused.value)


def test_a_folder_and_a_name_that_differ_are_an_error(source: Source):
    after = source.commit({"models/digits/model.yaml": YAML.format(name="numbers")})
    with pytest.raises(Rejected, match="its name is numbers, its folder digits; give both the same name"):
        planned(source.folder, source.first, after)


@pytest.mark.parametrize("name", ["Digits", "-x", "x" * 64, "dіgits", "a b", "x.lock", "a\nb"])
def test_a_folder_that_cannot_be_a_model_is_refused(source: Source, name: str):
    after = source.commit({f"models/{name}/model.yaml": YAML.format(name="digits")})
    with pytest.raises(Rejected, match="is not a model name"):
        planned(source.folder, source.first, after)


def test_two_models_with_one_name_on_kubernetes_are_refused(source: Source):
    taken = kubernetes_name("a_b")
    after = source.commit({f"models/{name}/model.yaml": YAML.format(name=name) for name in ("a_b", taken)})
    with pytest.raises(Rejected, match=f"models/a_b/ and models/{taken}/ would have one name on Kubernetes; rename"):
        planned(source.folder, source.first, after)


def test_a_folder_that_could_not_be_a_model_is_forgotten_once_it_is_renamed(source: Source):
    refused = source.commit({"models/Digits/model.yaml": YAML.format(name="numbers")})
    renamed = {"models/Digits/model.yaml": None, "models/numbers/model.yaml": YAML.format(name="numbers")}
    assert source.changed(refused, source.commit(renamed)) == {"numbers": ("changed", "models/numbers/model.yaml")}


def test_a_path_that_is_no_text_is_told_in_escapes(source: Source):
    after = source.commit({"models/digits/caf\udce9.jpg": "1"})
    assert source.changed(source.first, after) == {"digits": ("changed", r"models/digits/caf\udce9.jpg")}


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../etc/passwd", "../../.."])
def test_a_link_out_of_the_repository_is_refused(source: Source, target: str):
    (source.folder / "models/digits/data").symlink_to(target)
    after = source.commit({})
    with pytest.raises(Rejected, match="outside the repository"):
        planned(source.folder, source.first, after)


@pytest.mark.parametrize(
    # By its text each link stays inside; another one on its way leads up to the top of the tree.
    ("first", "second"),
    [("../..", "first/../deep"), ("second/..", "../.."), ("deep/top/..", "er")],
)
def test_a_link_that_leaves_the_repository_over_another_link_is_refused(source: Source, first: str, second: str):
    (source.folder / "models/digits/first").symlink_to(first)
    (source.folder / "models/digits/second").symlink_to(second)
    (source.folder / "models/digits/deep").mkdir()
    (source.folder / "models/digits/deep/top").symlink_to("../../..")
    with pytest.raises(Rejected, match="outside the repository"):
        planned(source.folder, source.first, source.commit({}))


@pytest.mark.parametrize(
    ("first", "second"), [("second", "first"), ("deep/er", "first/../../model.py"), (".", "first")]
)
def test_links_over_links_that_stay_inside_or_lead_nowhere_are_files_like_any_other(
    source: Source, first: str, second: str
):
    (source.folder / "models/digits/first").symlink_to(first)
    (source.folder / "models/digits/second").symlink_to(second)
    after = source.commit({"models/digits/deep/er/x.py": "1"})
    assert set(source.changed(source.first, after)) == {"digits"}


def test_a_link_inside_the_repository_is_a_file_like_any_other(source: Source):
    (source.folder / "models/digits/features.py").symlink_to("../../features.py")
    assert set(source.changed(source.first, source.commit({}))) == {"digits"}


def test_a_submodule_in_a_model_is_refused(source: Source):
    source.git("update-index", "--add", "--cacheinfo", f"160000,{'3' * 40},models/digits/vendor")
    source.git("commit", "--quiet", "--message", "submodule")
    with pytest.raises(Rejected, match="is a submodule"):
        planned(source.folder, source.first, source.git("rev-parse", "HEAD"))


def test_a_model_folder_that_lost_its_yaml_long_ago_is_shared_code():
    tree = Tree({"models/a/model.yaml": "1", "models/old/x.py": "1"}, {}, {})
    assert changed_models(tree, tree, ["models/old/x.py"]) == {"a": "shared code models/old/x.py"}


def run_step(source: Source, after: str, folder: Path) -> str:
    """What plan writes for the workflow."""
    output = folder / "changes.json"
    plan.main(
        [
            *("--source-repo", str(source.folder), "--before", source.first),
            *("--after", after, "--output", str(output)),
            *("--run", "r1", "--workspace", str(folder / "workspace")),
        ],
        standalone_mode=False,
    )
    return output.read_text()


def test_a_push_that_undoes_one_that_is_not_planned_yet_trains_what_that_one_changed(source: Source):
    changed = source.commit({"models/digits/model.py": "2", "models/other/model.yaml": None})
    undone = source.commit({"models/digits/model.py": "1", "models/other/model.yaml": YAML.format(name="other")})
    with opened(str(source.folder)) as remote:
        assert changes_of(remote, [source.first], undone) == ([], {})
        changes, _ = changes_of(remote, [changed, source.first], undone)
    assert {change.model: change.action for change in changes} == {"digits": "changed", "other": "changed"}


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_deleted_model_that_a_later_push_put_back_is_not_retired(source: Source, scheme: str, tmp_path: Path):
    gone = source.commit({"models/other/model.yaml": None})
    assert json.loads(run_step(source, gone, tmp_path))[0]["action"] == "deleted"
    source.commit({"models/other/model.yaml": YAML.format(name="other")})
    changes, _ = planned(f"{scheme}{source.folder}", source.first, gone)
    with opened(f"{scheme}{source.folder}") as remote:
        assert back_again(remote, "main", changes) == {"other"}
    assert json.loads(run_step(source, gone, tmp_path)) == []


@pytest.mark.parametrize("name", ["{{=1+1}}", "{{{=1+1}}}", "{{workflow.name}}"])
def test_a_path_is_no_variable_of_argos_in_what_the_workflow_fans_out_over(source: Source, tmp_path: Path, name: str):
    text = run_step(source, source.commit({f"models/digits/{name}": "2"}), tmp_path)
    assert "{{" not in text
    assert json.loads(text)[0]["why"] == f"models/digits/{name}"


def test_the_step_writes_json_that_the_workflow_fans_out_over(source: Source, tmp_path: Path):
    (change,) = json.loads(run_step(source, source.commit({"models/digits/model.py": "2"}), tmp_path))
    assert (change["model"], change["action"], change["gpus"]) == ("digits", "changed", "2")
    assert (tmp_path / "workspace/r1/source/models/digits/model.py").read_text() == "2"
