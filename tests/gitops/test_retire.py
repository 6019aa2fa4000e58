"""Stopping a model."""

from __future__ import annotations

from datetime import UTC, datetime

from env_world import World, version

from gitops.approvals import approve, requests
from gitops.history import reverted
from gitops.hold import hold
from gitops.retire import retire
from hera_workflows.steps.retire import retire as retire_step
from slipway.environments import Hold


def test_a_retired_model_leaves_nothing_but_its_holds(anywhere: World):
    anywhere.bump(1)
    held = Hold(
        environment="staging", model="digits", number=9, digest=version(9).digest, reason="x", since=datetime.now(UTC)
    )
    hold(anywhere.url, held)
    retire(anywhere.url, "staging", "digits", operation_id="r")
    assert [path for path in anywhere.paths() if "digits" in path] == ["envs/staging/digits/holds/9.json"]


HERE = "envs/staging/digits"
PEOPLES = {f"{HERE}/kustomization.yaml": "mine\n", f"{HERE}/patches/memory.yaml": "more\n"}


def in_folder(world: World) -> dict[str, str]:
    return {path: world.show(path) for path in world.paths() if path.startswith(HERE)}


def test_what_people_wrote_lies_where_argo_cd_does_not_look_while_a_model_is_retired(world: World):
    world.bump(1)
    world.edit_by_hand(PEOPLES)
    retire(world.url, "staging", "digits", operation_id="r")
    assert in_folder(world) == {path.replace(HERE, f"{HERE}/retired"): text for path, text in PEOPLES.items()}


def test_the_next_release_brings_back_what_people_wrote(world: World):
    world.bump(1)
    world.edit_by_hand(PEOPLES)
    retire(world.url, "staging", "digits", operation_id="r")
    world.bump(2)
    slipways = {f"{HERE}/release.env", f"{HERE}/evidence.json"}
    assert {path: text for path, text in in_folder(world).items() if path not in slipways} == PEOPLES


def test_what_a_person_wrote_anew_is_not_replaced(world: World):
    world.bump(1)
    world.edit_by_hand(PEOPLES)
    retire(world.url, "staging", "digits", operation_id="r")
    world.edit_by_hand({f"{HERE}/kustomization.yaml": "new\n"})
    world.bump(2)
    assert world.show(f"{HERE}/kustomization.yaml") == "new\n"


def test_what_waits_for_approval_is_closed(world: World, now: datetime):
    world.bump(1)
    world.propose(1)
    approve(world.url, "production", "digits", by="Ann", now=now)
    world.bump(2)
    world.propose(2)
    retire(world.url, "production", "digits", operation_id="r")
    assert requests(world.url) == []


def test_a_retired_version_does_not_come_back_by_itself(anywhere: World):
    anywhere.bump(1)
    retire(anywhere.url, "staging", "digits", operation_id="r", by="Ann")
    assert reverted(anywhere.url, "staging", "digits") == {1}


def test_retiring_what_is_not_served_changes_nothing(world: World):
    assert not retire(world.url, "staging", "digits", operation_id="r").created


def test_a_push_that_deletes_a_model_leaves_environments_behind_an_approval_alone(world: World, now: datetime):
    world.bump(1)
    world.propose(1)
    approve(world.url, "production", "digits", by="Ann", now=now)
    arguments = ["--model", "digits", "--commit", "a" * 40, "--run", "push-1", "--env-repo", world.url]
    retire_step.main(arguments, standalone_mode=False)
    assert set(world.read().releases) == {("production", "digits")}
