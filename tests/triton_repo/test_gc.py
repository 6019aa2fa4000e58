"""What nobody refers to is removed, and everything else stays and says why."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from store_world import World, world_of
from triton_toys import Keys

from gitops.approvals import open_request
from gitops.retire import retire
from gitops.rollback import rollback
from slipway.errors import Misconfigured, SlipwayError
from slipway.operation import Operation
from triton_repo.removal import remove_version
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


def test_gc_keeps_the_way_back_past_a_version_that_the_store_lost(world: World) -> None:
    for _ in range(3):
        world.release(world.publish())
    remove_version(world.store, "toy", 2)
    assert list(world.collect()) == ["toy@1", "toy@3"]
    assert world.collect()["toy@1"] == "a rollback in staging returns to it"


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
