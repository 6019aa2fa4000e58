"""What nobody refers to is removed, and everything else stays and says why."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError
from store_world import DAY, World, world_of
from triton_toys import Keys

from gitops.approvals import open_request
from gitops.retire import retire
from gitops.rollback import rollback
from hera_workflows.steps.gc import KEEP_RUNS
from slipway.errors import Misconfigured, SlipwayError
from slipway.operation import Operation
from slipway.spec import Train
from triton_repo.store import ModelStore, open_store


@pytest.fixture
def world(store: ModelStore, keys: Keys, tmp_path: Path) -> World:
    return world_of(store, keys, tmp_path)


def test_gc_removes_what_nothing_refers_to(world: World) -> None:
    for _ in range(3):
        world.publish()
    assert world.collect() == {"toy@1": "", "toy@2": "", "toy@3": "newest version of toy"}
    assert world.store.versions("toy") == [3]
    assert list((Path(world.store.root) / ".staging").iterdir()) == []


def test_a_dry_run_removes_nothing(world: World) -> None:
    world.publish(), world.publish()
    assert world.collect(dry_run=True)["toy@1"] == ""
    assert world.store.versions("toy") == [1, 2]


def test_gc_keeps_what_is_served_and_what_a_rollback_returns_to(world: World) -> None:
    versions = [world.publish() for _ in range(4)]
    for version in versions[:3]:
        world.release(version)
    kept = world.collect()
    assert kept["toy@1"] == ""
    assert kept["toy@2"] == "a rollback in staging returns to it"
    assert kept["toy@3"] == "served in staging"


def test_gc_keeps_what_was_released_within_the_retention(world: World) -> None:
    versions = [world.publish() for _ in range(4)]
    for version in versions[:3]:
        world.release(version)
    kept = world.collect(days=80)
    assert kept["toy@1"].startswith("replaced in staging on 20")


def test_gc_keeps_the_way_back_past_a_version_that_was_rolled_back(world: World) -> None:
    versions = [world.publish() for _ in range(4)]
    for version in versions[:3]:
        world.release(version)
    rollback(world.env, "staging", "toy", now=datetime.now(UTC), reason="bad", operation_id="rollback/1")
    kept = world.collect()
    assert kept["toy@1"] == "a rollback in staging returns to it"
    assert kept["toy@2"] == "served in staging"
    assert kept["toy@3"] == "held in staging"


def test_gc_keeps_the_way_back_past_a_version_that_was_retired(world: World) -> None:
    versions = [world.publish() for _ in range(4)]
    world.release(versions[0]), world.release(versions[1])
    retire(world.env, "staging", "toy", operation_id="retire/1")
    world.release(versions[2])
    kept = world.collect()
    assert kept["toy@1"] == "a rollback in staging returns to it"


def test_gc_keeps_what_waits_for_approval(world: World) -> None:
    versions = [world.publish() for _ in range(3)]
    world.release(versions[0])
    operation = Operation("promote/1", "promote", "production", versions[0])
    from gitops.environment_repo import read

    open_request(world.env, versions[0], operation, evidence=b"{}\n", base=read(world.env).commit)
    world.release(versions[1]), world.release(versions[2])
    assert "waits for approval in production" in world.collect()["toy@1"]


def by_hand(world: World, path: str, content: str) -> None:
    """A person's commit."""
    clone = world.folder / "clone"
    shutil.rmtree(clone, ignore_errors=True)
    git = ["git", "-C", str(clone), "-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    subprocess.run(["git", "clone", "--quiet", world.env, str(clone)], check=True)
    (clone / path).parent.mkdir(parents=True, exist_ok=True)
    (clone / path).write_text(content)
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message=Edit by hand"], check=True)
    subprocess.run([*git, "push", "--quiet"], check=True)


def test_gc_keeps_every_version_of_a_model_whose_release_cannot_be_read(world: World) -> None:
    world.publish(), world.publish()
    by_hand(world, "envs/production/toy/release.env", "MODEL=toy\nVERSION=the old one\n")
    assert world.collect()["toy@1"] == "envs/production/toy/release.env cannot be read"


def test_gc_keeps_what_is_held(world: World) -> None:
    first = world.publish()
    world.publish()
    hold = {
        "environment": "staging",
        "model": "toy",
        "number": 1,
        "digest": first.digest,
        "reason": "it answered wrongly",
        "since": "2026-01-01T00:00:00Z",
    }
    by_hand(world, "envs/staging/toy/holds/1.json", json.dumps(hold))
    assert world.collect()["toy@1"] == "held in staging"


def test_gc_keeps_what_a_run_in_the_workspace_made(world: World) -> None:
    world.publish(run="run-7"), world.publish()
    (world.folder / "work" / "run-7").mkdir(parents=True)
    assert world.collect(days=2, workspace=world.folder / "work")["toy@1"] == "run run-7 is in the workspace"


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
    """Exit code and standard error of the step, run as in its pod: by somebody whom a folder's mode holds back."""
    command = [sys.executable, "-m", "hera_workflows.steps.gc", "--store", world.store.url, "--env-repo", world.env]
    bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*bare, *command, "--workspace", world.folder / "work"], capture_output=True, text=True, check=False
    )
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
    line = f"{stays.parent} cannot be removed (Permission denied); remove it by hand, as its owner or root"
    assert said.splitlines() == [
        line,
        f"slipway: old folders that could not be removed: 1; the first: {line}",
    ]
    assert list((world.folder / "work").iterdir()) == [stays.parent]


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
        subprocess.run(["rm", "-rf", deep], check=True)  # pytest's own tidying would not go so deep


def test_gc_removes_nothing_when_the_environment_repository_is_away(world: World) -> None:
    world.publish(), world.publish()
    shutil.rmtree(world.env)
    with pytest.raises(SlipwayError):
        world.collect()
    assert world.store.versions("toy") == [1, 2]


def test_the_number_of_a_removed_version_is_never_given_again(world: World) -> None:
    world.publish(), world.publish()
    world.collect()
    assert world.publish().number == 3


def test_the_command_says_why_each_version_is_kept(world: World) -> None:
    world.publish(), world.publish()
    assert world.cli("gc", "--dry-run", "--grace", "0s").splitlines() == [
        "DONE          VERSION  WHY",
        "would remove  toy@1    no environment, history, hold or run needs it",
        "keep          toy@2    newest version of toy",
    ]


def test_a_duration_that_is_none_is_a_setting_to_change(world: World) -> None:
    with pytest.raises(Misconfigured, match="--grace: 'soon' is not a duration"):
        world.cli("gc", "--grace", "soon")


def test_the_collector_removes_from_a_bucket_what_nobody_needs(bucket: str, keys: Keys, tmp_path: Path) -> None:
    world = world_of(open_store(bucket), keys, tmp_path)
    for _ in range(3):
        world.publish()
    world.release(world.store.version("toy", 2))
    assert [number for number, why in world.collect().items() if not why] == ["toy@1"]
    assert world.store.versions("toy") == [2, 3]
    assert world.store.names("toy") == ["2", "3"]
