"""How the findings look, and that each area is asked whatever another one says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from hera_workflows.cli.doctor import render
from hera_workflows.doctor.finding import missing, ok, unknown

SLIPWAY = str(Path(sys.prefix, "bin/slipway"))
FINDINGS = [
    ("clocks", ok("the API server's clock", "agrees with this machine's")),
    ("secrets", ok("secret slipway/slipway-signing", "has signing.key")),
    ("secrets", missing("secret slipway/slipway-webhook", "secret is empty", "kubectl create it")),
    ("rights", unknown("you", "may not get secrets", "ask as an administrator")),
]


def test_it_reads_as_a_table_with_remedies_and_a_sum():
    golden = Path(__file__).parent / "golden/doctor.txt"
    assert click.unstyle(render(FINDINGS)) + "\n" == golden.read_text()


def test_what_a_server_says_moves_no_cursor():
    text = click.unstyle(render([("approval", ok("forge", "knows the token as \x1b[2Jroot\nok"))]))
    assert "\x1b" not in text
    assert "knows the token as ?[2Jroot?ok" in text


@pytest.fixture
def no_cluster(tmp_path):
    """A kubeconfig whose cluster nobody answers for."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": "http://127.0.0.1:9"}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "users": [{"name": "me", "user": {}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    return {"KUBECONFIG": str(tmp_path / "kubeconfig"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}


def doctor(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [SLIPWAY, "doctor", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_without_a_kubeconfig_it_says_what_to_set(tmp_path):
    done = doctor({"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
    assert done.returncode == 78
    assert "set KUBECONFIG and give a context" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_context_that_is_not_there_is_named(no_cluster):
    done = doctor(no_cluster, "--context", "elsewhere")
    assert (done.returncode, "elsewhere" in done.stderr) == (78, True)


def test_a_library_that_is_not_installed_is_named(no_cluster):
    without = "import sys; sys.modules['kubernetes'] = None; from hera_workflows.cli import main; main(['doctor'])"
    command = [sys.executable, "-c", without]
    done = subprocess.run(command, env=no_cluster, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (
        78,
        "slipway: the library kubernetes is not installed; install slipway[all]\n",
    )


def test_a_cluster_that_does_not_answer_is_one_line(no_cluster):
    done = doctor(no_cluster)
    assert (done.returncode, done.stdout) == (75, "")
    assert done.stderr == (
        "slipway: the Kubernetes API does not answer (NewConnectionError); is this the right cluster?\n"
    )
