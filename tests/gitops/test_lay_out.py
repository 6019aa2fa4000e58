"""The tree of a pushed commit, as its models are trained from it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from source_world import YAML, Source

from gitops.remote import opened
from hera_workflows.source_tree import lay_out
from slipway.errors import Rejected, TryAgain


def laid_out(url: Path | str, commit: str, workspace: Path) -> Path:
    """The tree of a commit as the run `r1` finds it; digits is trained from it."""
    with opened(str(url)) as remote:
        assert remote.bring(commit)
        lay_out(remote, commit, ["digits"], workspace, "r1")
    return workspace / "r1" / "source"


def files(folder: Path) -> dict[str, str]:
    """Every file below a folder, links by their target."""
    return {
        path.relative_to(folder).as_posix(): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_the_whole_tree_of_the_pushed_commit_is_laid_out(source: Source, tmp_path: Path, scheme: str):
    (source.folder / "models/digits/features.py").symlink_to("../../features.py")
    commit = source.commit({"models/digits/deep/er/x.py": "3"})
    source.commit({"features.py": "later"})
    assert files(laid_out(f"{scheme}{source.folder}", commit, tmp_path / "w")) == {
        "README.md": "1",
        "features.py": "1",
        "models/digits/deep/er/x.py": "3",
        "models/digits/features.py": "-> ../../features.py",
        "models/digits/model.py": "1",
        "models/digits/model.yaml": YAML.format(name="digits"),
        "models/other/model.yaml": YAML.format(name="other"),
    }


def test_beside_the_tree_lie_the_folders_that_training_may_write(source: Source, tmp_path: Path):
    laid_out(source.folder, source.first, tmp_path / "w")
    assert (tmp_path / "w/r1/digits").is_dir()
    assert (tmp_path / "w/datasets/digits").is_dir()


def test_a_tree_that_is_there_stays_as_it_is(source: Source, tmp_path: Path):
    tree = laid_out(source.folder, source.first, tmp_path / "w")
    before = {path: path.stat().st_ino for path in tree.rglob("*")}
    assert {path: path.stat().st_ino for path in laid_out(source.folder, source.first, tmp_path / "w").rglob("*")} == (
        before
    )


def test_a_link_that_leaves_the_tree_over_another_link_is_refused(source: Source, tmp_path: Path):
    (source.folder / "models/digits/root").symlink_to("../..")
    # By its text it ends at models/digits/deep; the file system says otherwise.
    (source.folder / "models/digits/out").symlink_to("root/../deep")
    commit = source.commit({})
    with pytest.raises(Rejected, match=r"'models/digits/out' links to 'root/\.\./deep', outside the repository"):
        laid_out(source.folder, commit, tmp_path / "w")
    assert not (tmp_path / "w/r1/source").exists()


def tree(source: Source, entry: str) -> str:
    """A commit of one entry, which `git add` would refuse; {blob} and {tree} stand for a file and a folder with it."""

    def made(command: str, content: str) -> str:
        git = ["git", "-C", str(source.folder), *command.split()]
        return subprocess.run(git, input=content, check=True, capture_output=True, text=True).stdout.strip()

    blob = made("hash-object -w --stdin", "../x")
    folder = made("mktree", f"100644 blob {blob}\tx\n")
    return source.git("commit-tree", "-m", "x", made("mktree", entry.format(blob=blob, tree=folder) + "\n"))


@pytest.mark.parametrize("scheme", ["", "file://"])
@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (f"100644 blob {{blob}}\t{'a' * 300}", "unable to create file aaa"),
        ("040000 tree {tree}\tgit~1", "invalid path 'git~1/x'"),
        ("120000 blob {blob}\t.gitmodules", "invalid path '.gitmodules'"),
    ],
    ids=["a long name", "git~1", "a linked .gitmodules"],
)
def test_a_commit_that_git_cannot_write_is_refused_with_what_git_says(
    source: Source, tmp_path: Path, scheme: str, entry: str, said: str
):
    commit = tree(source, entry)
    with pytest.raises(Rejected, match=f"commit {commit[:12]} cannot be checked out: error: {said}.* push again"):
        laid_out(f"{scheme}{source.folder}", commit, tmp_path / "w")
    assert not (tmp_path / "w/r1/source").exists()


@pytest.mark.parametrize("sizes", [[3 << 20], [4096] * 400], ids=["one file", "many files"])
def test_a_commit_that_the_disk_has_no_room_for_is_tried_again(source: Source, disk: Path, sizes: list[int]):
    commit = source.commit({f"data/{index}": "x" * size for index, size in enumerate(sizes)})
    with pytest.raises(TryAgain, match="No space left on device; make room there"):
        laid_out(source.folder, commit, disk)


@pytest.mark.slow
def test_a_plan_killed_while_it_writes_leaves_no_half_tree_and_the_next_one_does_the_rest(
    source: Source, tmp_path: Path
):
    after = source.commit({f"data/{index}.txt": "x" * 1000 for index in range(3000)})
    command = [sys.executable, "-m", "hera_workflows.steps.plan", "--source-repo", str(source.folder)]
    command += ["--before", source.first, "--after", after, "--run", "r1", "--workspace", str(tmp_path / "w")]
    command += ["--output", str(tmp_path / "changes.json")]
    tree, staging = tmp_path / "w/r1/source", tmp_path / "w/r1/.staging/source"
    process = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)})
    while not (staging / "data").exists():
        assert process.poll() is None
    process.kill()
    process.wait()
    assert not tree.exists()
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)
    assert len(files(tree)) == 3000 + 5
    assert list((tmp_path / "w/r1/.staging").iterdir()) == []
