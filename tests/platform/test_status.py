"""`slipway status` puts what git wants beside what the servers say, and names every difference."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hera_workflows.cli.status import render
from hera_workflows.cli.status import status as status_command
from hera_workflows.platform.servers import running
from hera_workflows.platform.status import Note, Wanted, Wish, compare, load_wish, notes_now
from hera_workflows.platform.up import up
from slipway.errors import Misconfigured

GOLDEN = Path(__file__).parent / "golden" / "status.txt"
COMMIT = "c" * 40


def wanted(environment: str, model: str, number: int, verdict: str = "PASS") -> Wanted:
    return Wanted(environment, model, number, "2026-03-01T09:30:00+01:00", COMMIT, verdict)


def wish(*wants: Wanted, notes: tuple[Note, ...] = ()) -> Wish:
    return Wish(COMMIT, ("staging", "production"), wants, notes)


def row(index, want=None):
    wants = (want,) if want else ()
    (one,) = compare(wish(*wants), {"staging": index})
    return one


def test_the_table_is_the_golden_one():
    notes = (
        Note("staging", "digits@4 is on hold: p95 310 ms; <= 100 ms allowed"),
        Note("production", "digits@3 waits for approval: slipway approve production digits"),
    )
    told = wish(
        wanted("staging", "digits", 3, "INCONCLUSIVE"),
        wanted("staging", "reviews", 12),
        wanted("production", "digits", 2),
        wanted("production", "reviews", 11, "rolled back"),
        notes=notes,
    )
    indexes = {
        "staging": {"digits": {3: ("READY", "")}, "reviews": {11: ("READY", ""), 12: ("UNAVAILABLE", "no such file")}},
        "production": None,
    }
    shown = click.unstyle(render(compare(told, indexes), notes_now(told, NOW), told.environments))
    assert shown + "\n" == GOLDEN.read_text()


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_reason_in_git_does_not_write_to_the_terminal():
    shown = render((), (Note("staging", "on hold: a\n\x1b[31mred"),), ("staging",))
    assert shown.endswith("\nstaging: on hold: a??[31mred")


def test_a_released_version_that_is_ready_agrees():
    assert row({"digits": {3: ("READY", "")}}, wanted("staging", "digits", 3)).agrees is True


def test_another_version_than_the_released_one_is_drift():
    seen = row({"digits": {2: ("READY", "")}}, wanted("staging", "digits", 3))
    assert (seen.agrees, seen.served, seen.reason) == (False, (2,), "version 3 is not loaded")


def test_a_version_beside_the_released_one_is_drift():
    assert row({"digits": {2: ("READY", ""), 3: ("READY", "")}}, wanted("staging", "digits", 3)).agrees is False


def test_triton_s_reason_is_shown_when_a_version_does_not_load():
    seen = row({"digits": {3: ("UNAVAILABLE", "bad graph")}}, wanted("staging", "digits", 3))
    assert (seen.agrees, seen.reason) == (False, "bad graph; `slipway up` tries it again")


def test_a_model_that_is_served_without_a_release_is_drift():
    seen = row({"digits": {3: ("READY", "")}})
    assert (seen.version, seen.agrees, seen.reason) == (None, False, "nothing is released")


def test_a_server_that_does_not_answer_leaves_agreement_unknown_and_says_what_to_do():
    seen = row(None, wanted("staging", "digits", 3))
    assert (seen.agrees, seen.reason) == (None, "the server does not answer; `slipway up` starts it")


def test_a_release_that_cannot_be_read_is_no_drift():
    told = Wish(COMMIT, ("staging",), (), (), unreadable=(("staging", "digits"),))
    (seen,) = compare(told, {"staging": {"digits": {3: ("READY", "")}}})
    assert (seen.version, seen.served, seen.agrees) == (None, (3,), None)
    assert "release.env cannot be read, so what is served stays" in render([seen], [], ["staging"])


def test_of_two_servers_the_silent_one_is_named(living):
    staging = running(living.home, "staging")
    assert staging is not None
    staging.stop(1)
    try:
        done = CliRunner().invoke(status_command, obj=living.home, catch_exceptions=False)
        assert "staging: its Triton does not answer; `slipway up` starts it again" in done.stdout
    finally:
        up(living.home.parent)


def test_a_freeze_is_noted_in_its_time_only():
    freeze = Note("production", "frozen", "2026-03-01T00:00:00+00:00", "2026-03-02T00:00:00+00:00")
    frozen = wish(notes=(freeze,))
    assert notes_now(frozen, NOW) == [freeze]
    assert notes_now(frozen, datetime(2026, 3, 2, tzinfo=UTC)) == []


def test_what_git_wants_is_read_again_when_a_branch_moves(living, tmp_path):
    cache = tmp_path / "status.json"
    before = load_wish(str(living.env_repo), cache)
    assert load_wish(str(living.env_repo), cache) == before
    tree = git(living.env_repo, "rev-parse", "main^{tree}")
    commit = git(living.env_repo, "commit-tree", "-p", "main", "-m", "Nothing", tree)
    git(living.env_repo, "update-ref", "refs/heads/main", commit)
    assert load_wish(str(living.env_repo), cache).commit == commit


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"refs": 1}', b'{"refs": "", "wish": {}}'])
def test_a_kept_answer_that_is_broken_is_read_from_git_again(living, tmp_path, content):
    cache = tmp_path / "status.json"
    cache.write_bytes(content)
    assert load_wish(str(living.env_repo), cache).environments == ("staging", "production")


def test_json_says_the_same_to_programs(living):
    done = CliRunner().invoke(status_command, ["--json"], obj=living.home, catch_exceptions=False)
    assert json.loads(done.stdout)["rows"] == []


def test_with_nothing_but_an_env_repo_it_says_what_git_wants(living, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "hera_workflows", "status"],
        cwd=tmp_path,
        env={**os.environ, "ENV_REPO": str(living.env_repo)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "no platform here" in done.stdout


def test_without_platform_and_env_repo_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Misconfigured, match=r"ENV_REPO is unset.*slipway up"):
        CliRunner().invoke(status_command, obj=None, standalone_mode=False, catch_exceptions=False)


@pytest.mark.parametrize("module", ["torch", "tritonclient", "kubernetes", "hera", "numpy", "rich", "fsspec", "git"])
def test_status_imports_nothing_heavy(living, module):
    script = f"""
import sys
sys.argv = ["slipway", "--home", {str(living.home)!r}, "status"]
from hera_workflows.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code
assert {module!r} not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


def git(repository: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    done = subprocess.run(
        ["git", "-C", str(repository), *identity, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()
