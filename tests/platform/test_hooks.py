"""What a push starts, what it does not, and what the pusher reads about it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hera_workflows.platform.event import follow
from hera_workflows.platform.processes import belonging
from hera_workflows.platform.pushes import Push, unfinished, workflow_name
from hera_workflows.platform.status import read_index
from hera_workflows.platform.up import down, up
from hera_workflows.settings import Platform
from triton_repo.store import open_store

pytestmark = pytest.mark.slow

MAIN = "refs/heads/main"
YAML = """\
name: toy
task: multiclass-classification
gates: {accuracy: ">= 0.3"}
serving: {max_batch: 8, p95_ms: "<= 10000"}
"""
# The largest of three numbers; a linear layer that is right from the start.
PY = """\
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn


def data(split):
    inputs = np.random.default_rng(len(split)).normal(size=(300, 3)).astype("float32")
    return inputs, inputs.argmax(axis=1)


def train(ctx):
    print("training", flush=True)
    while not Path(FLAG).exists():
        time.sleep(0.05)
    model = nn.Linear(3, 3, bias=False)
    model.weight.data = torch.eye(3)
    return model
"""
ZERO = "0" * 40


class Work:
    """Somebody's clone of the source repository."""

    def __init__(self, folder: Path, platform: Platform) -> None:
        self.folder, self.platform = folder, platform
        subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)
        self.git("remote", "add", "slipway", str(platform.source_repo))

    def git(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@localhost"]
        return subprocess.run(
            ["git", "-C", str(self.folder), *identity, *arguments],
            check=check,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def commit(self, text: str) -> str:
        (self.folder / "README").write_text(text)
        self.git("add", "README")
        self.git("commit", "-qm", text)
        return self.git("rev-parse", "HEAD").stdout.strip()

    def model(self, flag: Path) -> None:
        """Commit a model whose training waits until the file `flag` exists."""
        folder = self.folder / "models" / "toy"
        folder.mkdir(parents=True)
        (folder / "model.yaml").write_text(YAML)
        (folder / "model.py").write_text(PY.replace("FLAG", repr(str(flag))))
        self.git("add", "models")
        self.git("commit", "-qm", "Add a toy")

    def push(self, *arguments: str, check: bool = True) -> str:
        return self.git("push", *arguments, check=check).stderr

    def logs(self) -> list[Path]:
        return list((self.platform.home / "logs").glob("push-*.log"))

    def runs(self) -> list[str]:
        return sorted(p.name for p in (self.platform.home / "workflows").glob("push-*") if p.is_dir())


@pytest.fixture
def work(project, tmp_path):
    platform, _ = up(project)
    return Work(tmp_path / "work", platform)


def test_a_push_to_main_runs_a_workflow_and_its_progress_reaches_the_pusher(work):
    commit = work.commit("first")
    said = work.push("slipway", "main")
    (run,) = work.runs()
    assert run.startswith(f"push-{commit[:10]}-")
    assert f"remote: {run} Succeeded" in said.replace("        ", "")


def test_a_push_to_another_branch_starts_nothing_and_says_so(work):
    work.commit("first")
    said = work.push("slipway", "main:trial")
    assert "slipway: trial is kept; only main is built" in said
    assert work.runs() == []


def test_a_tag_starts_nothing(work):
    work.commit("first")
    work.git("tag", "v1")
    assert "refs/tags/v1 is kept; only main is built" in work.push("slipway", "v1")
    assert work.runs() == []


def test_a_push_with_a_folder_that_can_be_no_model_is_not_taken_so_that_the_next_one_brings_the_rest(work):
    work.model(work.folder / "never")
    (work.folder / "models/toy").rename(work.folder / "models/Toy")
    work.git("add", "--all")
    work.git("commit", "-qm", "Give it a large letter")
    done = work.git("push", "slipway", "main", check=False)
    assert done.returncode == 1
    assert "remote: slipway: models/'Toy'/: 'Toy' is not a model name" in done.stderr
    assert work.git("ls-remote", "slipway").stdout == ""
    assert work.runs() == []
    assert "trial is kept" in work.push("slipway", "main:trial")


def test_deleting_main_is_refused(work):
    work.commit("first")
    work.push("slipway", "main")
    assert "[remote rejected]" in work.push("slipway", ":main", check=False)
    assert "refs/heads/main" in work.git("ls-remote", "slipway").stdout


def test_deleting_another_branch_starts_nothing(work):
    work.commit("first")
    work.push("slipway", "main:trial")
    assert "trial is deleted; what is served stays" in work.push("slipway", ":trial")
    assert work.runs() == []


def test_nowait_returns_before_the_workflow_ends(work, wait_until):
    work.commit("first")
    said = work.push("-o", "nowait", "slipway", "main")
    assert "is running; `slipway logs push-" in said
    assert "Succeeded" not in said
    wait_until(lambda: [p for p in (work.platform.home / "logs").glob("*.log") if "Succeeded" in p.read_text()], 60)


def test_two_pushes_at_once_run_two_workflows(work, wait_until, tmp_path):
    work.commit("first")
    work.push("-o", "nowait", "slipway", "main")
    work.commit("second")
    assert "Succeeded" in work.push("slipway", "main")
    wait_until(
        lambda: len([p for p in (work.platform.home / "logs").glob("*.log") if "Succeeded" in p.read_text()]) == 2
    )


def test_the_pusher_s_own_settings_lead_nothing_astray(work, monkeypatch):
    for name in ("ENV_REPO", "MODEL_STORE", "SOURCE_REPO", "SLIPWAY_HOME", "PYTHONPATH"):
        monkeypatch.setenv(name, "/nonexistent")
    work.commit("first")
    assert "Succeeded" in work.push("slipway", "main")


def test_ctrl_c_on_the_push_leaves_the_workflow_running(work, wait_until):
    work.commit("first")
    push = subprocess.Popen(
        ["git", "-C", str(work.folder), "push", "slipway", "main"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert push.stderr is not None
    for line in push.stderr:
        if "is running" in line:
            break
    os.killpg(push.pid, signal.SIGINT)
    push.communicate(timeout=60)
    wait_until(lambda: [p for p in (work.platform.home / "logs").glob("*.log") if "Succeeded" in p.read_text()], 60)


def test_a_push_while_the_platform_is_down_is_refused_and_leaves_nothing(work):
    work.commit("first")
    down(work.platform.home)
    said = work.push("slipway", "main", check=False)
    assert "is stopped; run `slipway up`, then push again" in said
    assert work.git("ls-remote", "slipway").stdout == ""
    up(work.platform.home.parent)
    assert "Succeeded" in work.push("slipway", "main")


def test_the_name_of_a_workflow_is_the_same_for_the_same_push_and_new_for_another_one(work, monkeypatch):
    first = work.commit("first")
    work.push("-o", "nowait", "slipway", "main")
    push = Push(ZERO, first, MAIN)
    name = workflow_name(work.platform, push)
    assert workflow_name(work.platform, push) == name
    second = work.commit("second")
    work.push("-o", "nowait", "slipway", "main")
    # The reflog takes its time from here.
    monkeypatch.setenv("GIT_COMMITTER_DATE", "@4000000000 +0000")
    work.push("-f", "-o", "nowait", "slipway", f"{first}:main")
    assert workflow_name(work.platform, Push(second, first, MAIN)) == f"push-{first[:10]}-4000000000" != name


def test_a_workflow_that_down_interrupted_goes_on_with_the_next_up(work, wait_until, tmp_path):
    flag, home = tmp_path / "flag", work.platform.home
    work.model(flag)
    work.push("-o", "nowait", "slipway", "main")
    wait_until(lambda: any("training" in path.read_text() for path in home.glob("workflows/*/toy/train.log")), 60)
    down(home)
    assert belonging(home) == []
    ((name, _),) = unfinished(work.platform)
    flag.touch()
    up(home.parent)
    wait_until(lambda: "Succeeded" in (home / "logs" / f"{name}.log").read_text(), 120)
    assert (unfinished(work.platform), work.runs()) == ([], [name])


def test_the_pusher_is_told_of_a_workflow_that_was_killed_and_what_goes_on_with_it(work, wait_until, tmp_path):
    work.model(tmp_path / "flag")
    push = subprocess.Popen(
        ["git", "-C", str(work.folder), "push", "slipway", "main"], stderr=subprocess.PIPE, text=True
    )
    home = work.platform.home
    wait_until(lambda: any("training" in path.read_text() for path in home.glob("workflows/*/toy/train.log")), 60)
    for process in belonging(home, "workflow"):
        if "slipway-push" in process.cmdline():
            process.kill()
    _, said = push.communicate(timeout=60)
    assert "was killed before its end; `slipway up` goes on with it" in said


def test_a_push_whose_hook_was_killed_is_built_by_the_next_up(work, wait_until):
    hook = work.platform.source_repo / "hooks" / "post-receive"
    hook.write_text("#!/bin/sh\nkill -9 $$\n")
    commit = work.commit("first")
    work.push("slipway", "main", check=False)
    assert work.runs() == []
    up(work.platform.home.parent)
    wait_until(lambda: work.runs() and unfinished(work.platform) == [], 60)
    assert work.runs()[0].startswith(f"push-{commit[:10]}-")


def test_following_shows_what_comes_after_the_offset_and_ends_with_the_process(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"old")
    script = "import sys; sys.stdout.write('new'); sys.stdout.flush(); sys.exit(7)"
    with log.open("ab") as output:
        process = subprocess.Popen([sys.executable, "-c", script], stdout=output)
    seen: list[bytes] = []
    assert follow(process, log, 3, seen.append) == 7
    assert b"".join(seen) == b"new"


def test_two_pushes_of_one_model_at_once_end_with_the_newer_one_served(work, wait_until, tmp_path):
    flag = tmp_path / "flag"
    work.model(flag)
    work.push("-o", "nowait", "slipway", "main")
    wait_until(
        lambda: any("training" in p.read_text() for p in work.platform.home.glob("workflows/*/toy/train.log")), 60
    )
    path = work.folder / "models" / "toy" / "model.py"
    path.write_text(path.read_text().replace("torch.eye(3)", "2 * torch.eye(3)"))
    work.git("commit", "-qam", "Be surer")
    newer = work.git("rev-parse", "HEAD").stdout.strip()
    work.push("-o", "nowait", "slipway", "main")
    flag.touch()
    wait_until(lambda: unfinished(work.platform) == [] and all(map(ended, work.logs())) and len(work.logs()) == 2, 200)
    index = read_index(work.platform.servers[0].http_port, work.platform.secret_file.read_text())
    assert index is not None
    (served,) = [number for number, (state, _) in index["toy"].items() if state == "READY"]
    assert open_store(str(work.platform.store)).manifest("toy", served).source_commit == newer


def ended(log: Path) -> bool:
    return "Succeeded in" in log.read_text()
