"""What old runs left in the workspace goes, whatever people's code did to it; the rest stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError
from store_world import DAY, World, world_of
from triton_toys import Keys

from hera_workflows.steps.gc import KEEP_RUNS
from slipway.spec import Train
from triton_repo.store import ModelStore

# Runs a command as somebody whom a folder's mode holds back, as in a pod.
BARE = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []


@pytest.fixture
def world(store: ModelStore, keys: Keys, tmp_path: Path) -> World:
    return world_of(store, keys, tmp_path)


def test_gc_removes_runs_that_nothing_was_written_to_for_long(world: World) -> None:
    for name in ("old", "new"):
        (world.folder / "work" / name / "toy").mkdir(parents=True)
    long_ago = (datetime.now(UTC) - 30 * DAY).timestamp()
    for folder in ("old", "old/toy"):
        os.utime(world.folder / "work" / folder, (long_ago, long_ago))
    world.collect(days=1, workspace=world.folder / "work", dry_run=True)
    assert len(list((world.folder / "work").iterdir())) == 2
    world.collect(days=1, workspace=world.folder / "work")
    assert [path.name for path in (world.folder / "work").iterdir()] == ["new"]


def test_no_training_may_take_as_long_as_gc_keeps_what_it_uses() -> None:
    with pytest.raises(ValidationError, match="is no limit for a training"):
        Train.model_validate({"timeout": KEEP_RUNS})


def test_gc_removes_each_data_set_that_no_training_used_for_long(world: World) -> None:
    cache = world.folder / "work" / "datasets" / "toy"
    for name in ("old", "used", ".locks"):
        (cache / name / "content").mkdir(parents=True)
    long_ago = (datetime.now(UTC) - 30 * DAY).timestamp()
    for folder in ("old", "old/content", "used/content", ".locks"):
        os.utime(cache / folder, (long_ago, long_ago))
    world.collect(days=1, workspace=world.folder / "work")
    assert sorted(path.name for path in cache.iterdir()) == [".locks", "used"]


@pytest.mark.parametrize("when", [4e9, -1e12])
def test_no_date_that_peoples_code_gives_a_folder_keeps_it_or_stops_gc(world: World, when: float) -> None:
    for folder in ("run-1", "datasets/toy/sha", "datasets/toy/sha/content"):
        (world.folder / "work" / folder).mkdir(parents=True)
        os.utime(world.folder / "work" / folder, (when, when))
    world.collect(days=30, workspace=world.folder / "work")
    assert not (world.folder / "work/run-1").exists()
    assert not (world.folder / "work/datasets/toy/sha").exists()


def test_a_folder_with_a_date_to_come_is_kept_as_long_as_any_other(world: World) -> None:
    (world.folder / "work/run-1").mkdir(parents=True)
    os.utime(world.folder / "work/run-1", (4e9, 4e9))
    world.collect(days=1, workspace=world.folder / "work")
    assert (world.folder / "work/run-1").exists()


def old(world: World, path: str) -> Path:
    """A folder in the workspace with a file in it, and nothing in the workspace that is newer than 60 days."""
    folder = world.folder / "work" / path
    folder.mkdir(parents=True)
    (folder / "weights").write_text("1")
    long_ago = (datetime.now(UTC) - 60 * DAY).timestamp()
    for parent, _, _ in os.walk(world.folder / "work"):
        os.utime(parent, (long_ago, long_ago))
    return folder


def pod(world: World) -> tuple[int, str]:
    """Exit code and standard error of the step, run as in its pod."""
    command = [sys.executable, "-m", "hera_workflows.steps.gc", "--store", world.store.url, "--env-repo", world.env]
    command += ["--workspace", str(world.folder / "work")]
    done = subprocess.run([*BARE, *command], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_gc_removes_the_folders_that_peoples_code_closed_and_opens_none_outside(world: World) -> None:
    outside = world.folder / "outside"
    (outside / "in").mkdir(parents=True)
    closed = [old(world, "run-1/toy/read-only"), old(world, "run-1/toy/hidden/deep").parent]
    (closed[0] / "link").symlink_to(outside)
    old(world, "run-1/toy/last")
    outside.chmod(0o500), closed[0].chmod(0o500), closed[1].chmod(0)
    assert pod(world) == (0, "")
    assert list((world.folder / "work").iterdir()) == []
    assert (outside / "in").exists()
    assert outside.stat().st_mode & 0o777 == 0o500


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o500])
def test_gc_removes_old_data_sets_from_a_cache_that_peoples_code_closed(world: World, mode: int) -> None:
    entry = old(world, "datasets/toy/sha")
    entry.chmod(mode), entry.parent.chmod(mode)
    assert pod(world) == (0, "")
    assert not entry.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_a_folder_that_cannot_be_removed_is_named_and_the_others_go(world: World) -> None:
    stays = old(world, "run-1/toy")
    old(world, "run-2/toy")
    os.chown(stays, 54321, 54321)
    code, said = pod(world)
    assert code == 78
    [left] = (world.folder / "work").glob(".gone-*")
    line = f"{left} cannot be removed (Permission denied); remove it by hand, as its owner or root"
    assert said.splitlines() == [
        line,
        f"slipway: old folders that could not be removed: 1; the first: {line}",
    ]
    assert list((world.folder / "work").iterdir()) == [left]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_the_command_fails_when_an_old_folder_stays_too(world: World) -> None:
    stays = old(world, "run-1/toy")
    os.chown(stays, 54321, 54321)
    home = world.folder / "home"
    home.mkdir()
    (home / "workspace").symlink_to(world.folder / "work")
    (home / "platform.json").write_text(json.dumps({"home": str(home), "prometheus_port": 1, "servers": []}))
    command = [sys.executable, "-m", "hera_workflows", "--home", str(home), "gc", "--json"]
    where = {**os.environ, "MODEL_STORE": world.store.url, "ENV_REPO": world.env}
    done = subprocess.run([*BARE, *command], env=where, capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert json.loads(done.stdout) == []
    [left] = (world.folder / "work").glob(".gone-*")
    assert f"{home}/workspace/{left.name} cannot be removed (Permission denied)" in done.stderr


@pytest.mark.parametrize("folder", ["run-1", "datasets/toy/sha"])
def test_what_an_interrupted_gc_left_is_removed_by_the_next_one(world: World, folder: str) -> None:
    young = world.folder / "work" / folder
    half = young.with_name(f".gone-{young.name}")
    for each in (young, half):
        (each / "in").mkdir(parents=True)
    world.collect(days=0, workspace=world.folder / "work")
    assert (young.exists(), half.exists()) == (True, False)


def test_a_folder_with_the_longest_name_there_is_goes_too(world: World) -> None:
    longest = old(world, f"datasets/toy/{'x' * 255}")
    world.collect(days=30, workspace=world.folder / "work")
    assert not longest.exists()


def test_what_peoples_code_puts_beside_a_folder_does_not_keep_it(world: World) -> None:
    entry = old(world, "datasets/toy/sha")
    entry.with_name(".gone-sha").write_text("mine")
    world.collect(days=30, workspace=world.folder / "work")
    assert not entry.exists()


def test_gc_goes_on_after_a_folder_that_is_nested_too_deep(world: World) -> None:
    deep, other = old(world, "run-1/toy"), old(world, "run-2/toy")
    inside = os.open(deep, os.O_RDONLY)
    try:
        for _ in range(1500):
            os.mkdir("d", dir_fd=inside)
            outer, inside = inside, os.open("d", os.O_RDONLY, dir_fd=inside)
            os.close(outer)
        world.collect(days=30, workspace=world.folder / "work")
        assert not other.exists()
    finally:
        os.close(inside)
        subprocess.run(["rm", "-rf", world.folder / "work"], check=True)  # pytest would not go so deep
