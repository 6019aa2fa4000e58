"""The commands on the environment repository, as a person types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from env_world import World, version

ROOT = Path(__file__).parents[2]


@pytest.fixture
def slipway(world: World):
    """slipway("history", …) runs the real command: (exit status, standard output, standard error)."""

    def run(*arguments: str, **variables: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "hera_workflows", *arguments],
            env={**os.environ, "ENV_REPO": world.url, "PYTHONPATH": str(ROOT), **variables},
            cwd=world.tmp,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_init_makes_the_repository_that_is_named(slipway, world: World):
    status, out, _ = slipway("env", "init", str(world.tmp / "new.git"))
    assert (status, "set up" in out) == (0, True)
    assert slipway("env", "init", str(world.tmp / "new.git"))[1].endswith("is there already\n")


def test_check_lists_what_is_broken_and_ends_with_65(slipway, world: World):
    assert slipway("env", "check")[0] == 0
    world.edit_by_hand({"envs/staging/digits/release.env": "x\n", "envs/nowhere/a/release.env": "y\n"})
    status, _, err = slipway("env", "check")
    assert status == 65
    assert "envs/staging/digits/release.env" in err
    assert "envs/nowhere/a/release.env" in err


def test_history_as_json(slipway, world: World):
    world.bump(1)
    status, out, _ = slipway("history", "staging", "digits", "--json")
    (event,) = json.loads(out)
    assert (status, event["action"], event["from"], event["to"]) == (0, "bump", None, "digits@1")


def test_history_of_nothing_says_so(slipway):
    assert slipway("history", "production")[1] == "nothing was released to production yet\n"
    assert slipway("history", "production", "digits")[1] == "no version of digits was released to production yet\n"


@pytest.mark.parametrize("more", [[], ["digits"], ["--json"]])
def test_history_of_an_environment_that_there_is_not_names_those_that_there_are(slipway, more: list[str]):
    status, out, err = slipway("history", "nosuch", *more)
    assert (status, out, "no environment nosuch; use one of staging, production" in err) == (78, "", True)


def test_an_environment_that_is_gone_keeps_its_history(slipway, world: World):
    world.bump(1)
    only = "environments: [{name: production, accepts: direct}]\n"
    world.edit_by_hand({"envs/environments.yaml": only})
    assert "digits" in slipway("history", "staging")[1]


@pytest.mark.parametrize("name", ["../x", "--upload-pack=x", "PRODUCTION", "x" * 300])
def test_a_hostile_name_is_one_line_and_65_or_usage(slipway, name: str):
    status, _, err = slipway("history", "--", name)
    assert (status, len(err.splitlines())) == (65, 1)


def test_a_hold_is_named_by_model_and_number(slipway):
    status, _, err = slipway("release-hold", "staging", "digits")
    assert (status, "'digits' names no version; write MODEL@NUMBER, such as digits@5" in err) == (2, True)


def test_rollback_and_release_hold(slipway, world: World):
    world.bump(1)
    world.bump(2)
    status, out, _ = slipway("rollback", "staging", "digits", "--reason", "sevens", "--by", "Ann")
    assert (status, out.startswith("staging: rolled digits back (")) == (0, True)
    assert slipway("release-hold", "staging", "digits@2")[0] == 0
    status, _, err = slipway("release-hold", "staging", "digits@2")
    assert (status, "not on hold" in err) == (65, True)


def test_rollback_without_an_earlier_version_ends_with_65(slipway, world: World):
    world.bump(1)
    status, _, err = slipway("rollback", "staging", "digits")
    assert (status, "on hold now" in err) == (65, True)


def test_a_rollback_returns_to_no_version_that_the_store_lost(slipway, world: World):
    world.bump(1)
    world.bump(2)
    (world.tmp / "store").mkdir()
    status, _, err = slipway("rollback", "staging", "digits", MODEL_STORE=str(world.tmp / "store"))
    assert (status, "the only good version" in err, world.read().release("staging", "digits")) == (65, True, version(2))


def test_a_rollback_is_done_although_nobody_can_ask_the_store_and_says_so(slipway, world: World):
    world.bump(1)
    world.bump(2)
    status, _, err = slipway("rollback", "staging", "digits", MODEL_STORE="")
    assert (status, world.read().release("staging", "digits")) == (0, version(1))
    assert "nobody looked whether the store still has digits@1: MODEL_STORE is unset" in err


def test_values_whose_images_have_no_digest_set_up_nothing(slipway, world: World):
    (world.tmp / "values.yaml").write_text("images: {light: 'registry.example/light:1.0'}\n")
    before = world.read().commit
    status, _, err = slipway("env", "init", world.url, "--values", str(world.tmp / "values.yaml"))
    assert (status, "images.light has no digest" in err, world.read().commit) == (78, True, before)


def test_freeze_and_unfreeze(slipway, world: World):
    assert slipway("freeze", "production", "--reason", "fair", "--for", "2h")[0] == 0
    assert world.read().freezes["production"][0].reason == "fair"
    assert slipway("unfreeze", "production")[0] == 0
    assert slipway("unfreeze", "production")[1] == "nobody froze production\n"


@pytest.mark.parametrize(
    "arguments", [("--for", "soon"), ("--until", "2001-01-01"), ("--for", "1h", "--until", "2099-01-01")]
)
def test_a_freeze_with_a_wrong_end_is_a_usage_error(slipway, arguments: tuple[str, ...]):
    assert slipway("freeze", "production", "--reason", "x", *arguments)[0] == 2


NO_LINE = ["", "two\nlines", "\x1b[31mred", "x" * 501]


@pytest.mark.parametrize("reason", NO_LINE)
def test_a_rollback_with_a_reason_that_is_no_line_is_a_usage_error(slipway, world: World, reason: str):
    world.bump(1)
    world.bump(2)
    assert slipway("rollback", "staging", "digits", "--reason", reason)[0] == 2
    assert world.read().release("staging", "digits") == version(2)


@pytest.mark.parametrize("reason", NO_LINE)
def test_a_freeze_with_a_reason_that_is_no_line_is_a_usage_error(slipway, world: World, reason: str):
    assert slipway("freeze", "production", "--reason", reason, "--for", "1h")[0] == 2
    assert world.read().freezes["production"] == []


def test_retire(slipway, world: World):
    world.bump(1)
    assert slipway("retire", "staging", "digits")[0] == 0
    assert world.read().release("staging", "digits") is None


def test_an_unknown_environment_is_a_setting_to_change(slipway):
    status, _, err = slipway("freeze", "qa", "--reason", "x")
    assert (status, "use one of staging, production" in err) == (78, True)


@pytest.mark.parametrize("command", ["env", "history", "rollback", "release-hold", "freeze", "unfreeze", "retire"])
def test_help_teaches_by_example(slipway, command: str):
    assert f"  slipway {command} " in slipway(command, "--help")[1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become a user without a name")
def test_who_has_no_name_on_this_machine_is_somebody():
    code = (
        "import os, gitops.git; from hera_workflows.identity import who; "
        "os.setgroups([]); os.setuid(54321); print(who())"
    )
    bare = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, env=bare, text=True) == "somebody\n"


def test_reading_imports_neither_torch_nor_gitpython(world: World):
    code = (
        f"import sys; from gitops.environment_repo import read; read({world.url!r}); "
        "from gitops.history import history; "
        f"list(history({world.url!r})); "
        "print([m for m in ('torch', 'git', 'stamina', 'numpy', 'rich') if m in sys.modules])"
    )
    out = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert out == "[]\n"
