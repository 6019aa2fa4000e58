"""What a command says where there is neither a project nor a platform."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REMEDIES = {
    "check": (65, "run `slipway init NAME`"),
    "up": (78, "write a first model with `slipway init NAME`, or give --project"),
    "down": (78, "nothing to stop (or give --home)"),
    "reconcile": (78, "run `slipway up`, or give --home"),
    "try digits": (78, "run `slipway up`, or give --home"),
    "run slipway-push": (78, "give it with -p before=VALUE"),
    "run slipway-gc": (78, "give it with --volume slipway-workspace=FOLDER"),
    "logs push-1": (65, "slipway logs"),
    **dict.fromkeys(
        [
            "status",
            "models",
            "show digits@1",
            "diff digits@1 digits@2",
            "verify",
            "gc --dry-run",
            "promote",
            "approvals",
            "approve production digits",
            "reject production digits --reason x",
            "explain main",
            "history",
            "rollback production digits",
            "release-hold production digits@1",
            "freeze production --reason x",
            "unfreeze production",
            "retire production digits",
            "env check",
            "env init",
        ],
        (78, "set it, or run `slipway up` in your project first"),
    ),
}


@pytest.mark.parametrize("words", REMEDIES)
def test_outside_a_project_a_command_says_what_to_do_and_writes_nothing(tmp_path: Path, words: str):
    ours = ("SLIPWAY_HOME", "ENV_REPO", "SOURCE_REPO", "MODEL_STORE", "PROMETHEUS_URL", "VERIFY_KEY")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    command = [sys.executable, "-m", "hera_workflows", *words.split()]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    code, remedy = REMEDIES[words]
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done.stderr
    assert remedy in done.stderr
    assert list(tmp_path.rglob("*")) == []
