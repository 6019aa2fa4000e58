"""The story that `make demo` tells, from the first push to the rollback, and how it stops."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hera_workflows.platform.processes import belonging
from hera_workflows.platform.story import prepare
from slipway.errors import Misconfigured

DEMO = [sys.executable, "-m", "hera_workflows.platform.demo", "--json"]


def environment(folder: Path) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "KEEP"} | {"DEMO_HOME": str(folder)}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_whole_story_is_true_and_leaves_no_process(tmp_path):
    done = subprocess.run(DEMO, env=environment(tmp_path / "demo"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    endings = [step["found"][-1] for step in map(json.loads, done.stdout.splitlines()) if step["found"]]
    assert [re.sub("^(PASS|over gRPC: a 1).*", r"\1", line) for line in endings] == [
        "staging serves digits@1 (PASS)",
        "PASS",
        "production serves digits@1 (PASS)",
        "over gRPC: a 1",
        "staging serves digits@2 (PASS)",
        "PASS",
        "production serves digits@2 (PASS)",
        "staging serves digits@2 (PASS)",
        "staging serves digits@3 (PASS)",
        "production serves digits@2 (PASS)",
    ]
    assert belonging(tmp_path / "demo" / "project" / ".slipway") == []


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_it_leaves_no_process(tmp_path, sent):
    demo = subprocess.Popen(
        DEMO,
        env=environment(tmp_path / "demo"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert demo.stdout is not None
    assert "slipway up" in [demo.stdout.readline() for _ in range(2)][1]
    home = tmp_path / "demo" / "project" / ".slipway"
    assert belonging(home) != []
    os.killpg(demo.pid, sent)
    _, said = demo.communicate(timeout=60)
    assert (demo.returncode, belonging(home)) == (130, [])
    assert "everything of the demo is down" in said


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(Misconfigured, match="not empty and not a demo's"):
        prepare(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_an_earlier_demo_s_folder_is_used_again(tmp_path):
    prepare(tmp_path / "demo")
    (tmp_path / "demo" / "project" / "left-over").touch()
    prepare(tmp_path / "demo")
    assert not (tmp_path / "demo" / "project" / "left-over").exists()
