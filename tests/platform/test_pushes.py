"""Which pushes want a workflow, and which still do after whatever was killed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hera_workflows.local.journal import Journal
from hera_workflows.platform import home as folder
from hera_workflows.platform.pushes import MAIN, ZERO, Push, parse_push, unfinished, workflow_name
from hera_workflows.settings import Platform
from slipway.errors import Rejected

ONE, TWO = "1" * 40, "2" * 40


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """The folder of a platform of which nothing runs, not even its hooks."""
    home = tmp_path / "home"
    folder.make_folder(home)
    folder.create(home)
    for hook in (home / "source.git" / "hooks").iterdir():
        hook.unlink()
    return Platform(home=home, prometheus_port=1, servers=())


def push(platform: Platform) -> Push:
    """A first commit, pushed to main."""
    work = platform.home.parent / "work"
    git = ["git", "-C", str(work), "-c", "user.name=Ada", "-c", "user.email=ada@localhost"]
    subprocess.run(["git", "init", "-q", "-b", "main", str(work)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    subprocess.run([*git, "push", "-q", str(platform.source_repo), "main"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return Push(ZERO * 40, head.stdout.strip(), MAIN)


def begin(platform: Platform, name: str, template: str, pushed: Push, status: str | None = None) -> None:
    """A run as its journal tells it."""
    (platform.home / "workflows" / name).mkdir()
    journal = Journal(platform.home / "workflows" / name / "journal.jsonl")
    parameters = {"before": pushed.before, "after": pushed.after}
    journal.write("run", identity={"template": template, "parameters": parameters}, started=1.0)
    if status:
        journal.write("status", status=status)
    journal.close()


def test_a_push_that_was_killed_before_many_other_runs_still_wants_its_workflow(platform: Platform) -> None:
    pushed = push(platform)
    name = workflow_name(platform, pushed)
    begin(platform, name, "slipway-push", pushed)
    for count in range(20):
        begin(platform, f"slipway-promote-{count}", "slipway-promote", pushed, "Succeeded")
    assert unfinished(platform) == [(name, pushed)]


def test_a_push_that_was_killed_before_the_first_fact_of_its_run_still_wants_its_workflow(platform: Platform) -> None:
    pushed = push(platform)
    name = workflow_name(platform, pushed)
    (platform.home / "workflows" / name).mkdir()
    (platform.home / "workflows" / name / "journal.jsonl").touch()
    assert unfinished(platform) == [(name, pushed)]


def test_a_push_whose_workflow_ended_wants_no_other(platform: Platform) -> None:
    pushed = push(platform)
    begin(platform, workflow_name(platform, pushed), "slipway-push", pushed, "Failed")
    assert unfinished(platform) == []


@pytest.mark.parametrize("line", ["", "\n", f"{ONE} {TWO}\n", f"{ONE} {ONE[:39]}x {MAIN}\n", f"-x {ONE} {MAIN}\n"])
def test_a_line_that_is_not_git_s_is_refused(line):
    with pytest.raises(Rejected):
        parse_push(line)


def test_only_a_moved_main_is_built():
    assert Push(ONE, TWO, MAIN).ignored is None
    assert "only main" in (Push(ONE, TWO, "refs/heads/mainly").ignored or "")
