"""What people do with the store: list, show, compare, verify."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from store_world import World, world_of
from triton_toys import COMMIT, Keys

from hera_workflows.cli import slipway
from slipway.errors import Misconfigured, Rejected
from triton_repo.store import ModelStore, open_store


@pytest.fixture
def world(store: ModelStore, keys: Keys, tmp_path: Path) -> World:
    return world_of(store, keys, tmp_path)


def test_models_lists_every_version_with_its_metric(world: World) -> None:
    world.publish(0.9), world.publish(0.95)
    head, *lines = (re.split("  +", line) for line in world.cli("models").splitlines())
    assert head == ["VERSION", "CREATED", "VERDICT", "METRIC", "COMMIT"]
    assert [line[0] for line in lines] == ["toy@1", "toy@2"]
    assert [line[3] for line in lines] == ["accuracy 0.9", "accuracy 0.95"]


def test_models_prints_json_for_scripts(world: World) -> None:
    world.publish(0.9)
    (entry,) = json.loads(world.cli("models", "toy", "--json"))
    assert (entry["model"], entry["number"], entry["metrics"]) == ("toy", 1, {"accuracy": 0.9})


def test_an_empty_store_says_how_to_fill_it(world: World) -> None:
    assert "git push" in world.cli("models")


def test_models_of_a_name_without_versions_is_refused(world: World) -> None:
    world.publish()
    with pytest.raises(Rejected, match="has no version of nosuch; `slipway models` lists what there is"):
        world.cli("models", "nosuch")


def test_show_without_a_number_shows_the_newest(world: World) -> None:
    world.publish(), world.publish()
    assert world.cli("show", "toy").startswith("toy@2  PASS  sha256:")


def test_show_prints_the_whole_manifest_as_json(world: World) -> None:
    version = world.publish()
    shown = json.loads(world.cli("show", "toy@1", "--json"))
    assert (shown["digest"], shown["source_commit"]) == (version.digest, COMMIT)


@pytest.mark.parametrize("text", ["toy@9", "toy@0", "toy@x", "../toy@1", "nothing", "@1", "toy@1@2"])
def test_a_version_that_is_none_is_refused(world: World, text: str) -> None:
    world.publish()
    with pytest.raises(Rejected):
        world.cli("show", text)


def test_diff_prints_only_what_differs(world: World) -> None:
    world.publish(0.9), world.publish(0.95, commit="b" * 40)
    rows = [re.split("  +", line) for line in world.cli("diff", "toy@1", "toy@2").splitlines()]
    assert ["metric accuracy", "0.9", "0.95"] in rows
    assert ["code commit", "a" * 19, "b" * 19] in rows
    assert "data digest" not in {row[0] for row in rows}


def test_verify_checks_every_version_when_none_is_named(world: World) -> None:
    world.publish(), world.publish()
    assert world.cli("verify").splitlines() == ["VERSION  FOUND", "toy@1    ok", "toy@2    ok"]


def test_verify_names_the_file_that_was_changed(world: World) -> None:
    world.publish(), world.publish()
    folder = world.store.local_path("toy", 2)
    assert folder is not None
    (folder / "report.html").write_text("better")
    with pytest.raises(Rejected, match="toy@2 cannot be trusted"):
        world.cli("verify")


def test_without_a_store_a_command_says_what_to_set() -> None:
    variables = {"MODEL_STORE": "", "SLIPWAY_HOME": "/nowhere"}
    with pytest.raises(Misconfigured, match="MODEL_STORE is unset"):
        CliRunner().invoke(slipway, ["models"], env=variables, catch_exceptions=False)


def test_listing_needs_no_heavy_library(world: World) -> None:
    world.publish()
    script = (
        "import sys; from hera_workflows.cli import main\n"
        "try: main(['models'])\n"
        "except SystemExit: print([m for m in ('torch', 'tritonclient', 'numpy', 'rich', 'git') if m in sys.modules])"
    )
    variables = {**os.environ, "MODEL_STORE": world.store.root}
    out = subprocess.run(
        [sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=True, timeout=60
    )
    assert out.stdout.splitlines()[-1] == "[]"


# gc


@pytest.mark.parametrize("command", ["models", "show", "diff", "verify", "gc"])
def test_help_teaches_by_example(world: World, command: str) -> None:
    assert f"slipway {command}" in world.cli(command, "--help").split("Usage", 1)[1].split("\n", 1)[1]


# the same in a bucket


def test_every_command_reads_a_bucket_as_it_reads_a_folder(bucket: str, keys: Keys, tmp_path: Path) -> None:
    world = world_of(open_store(bucket), keys, tmp_path)
    world.publish(0.8)
    world.publish(0.9)
    assert "toy" in world.cli("models")
    assert "toy@1" in world.cli("show", "toy@1")
    assert "0.8" in world.cli("diff", "toy@1", "toy@2")
    assert "toy@2" in world.cli("verify", "toy@2")
