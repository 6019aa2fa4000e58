"""Putting a published version into the first environment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from env_world import World, version

from gitops.bump import bump
from gitops.hold import freeze, hold
from gitops.retire import retire
from slipway.environments import Freeze, Hold
from slipway.errors import Misconfigured, Rejected
from slipway.operation import Operation, parse_message
from slipway.version import render_release_env


def test_a_bump_is_one_commit_with_release_evidence_and_kustomization(anywhere: World):
    done = anywhere.bump(1)
    assert done.created
    assert done.commit == anywhere.main()
    assert anywhere.show("envs/staging/digits/release.env") == render_release_env(version(1))
    assert anywhere.show("envs/staging/digits/evidence.json") == '{"version": 1}\n'
    assert "kind: Kustomization" in anywhere.show("envs/staging/digits/kustomization.yaml")
    assert anywhere.commits() == 2


def test_the_commit_message_parses_back_to_the_operation(world: World):
    operation = Operation("bump/run-7/x", "bump", "staging", version(1), source_commit="c" * 40, run="run-7")
    bump(world.url, version(1), operation, evidence=None)
    assert parse_message(world.git("log", "-1", "--format=%B", "main")) == operation


def test_the_same_version_again_changes_nothing(anywhere: World):
    first = anywhere.bump(1)
    again = anywhere.bump(1)
    assert (again.created, again.commit, anywhere.commits()) == (False, first.commit, 2)


def test_an_older_version_that_comes_late_changes_nothing(anywhere: World):
    anywhere.bump(5)
    late = anywhere.bump(4)
    assert not late.created
    assert late.reason == "digits@4 is older than staging's digits@5"


@pytest.mark.parametrize("compared", [0, 4])
def test_a_version_that_was_compared_with_an_older_one_than_is_served_is_refused(anywhere: World, compared: int):
    anywhere.bump(5)
    operation = Operation("bump/late", "bump", "staging", version(6))
    with pytest.raises(Rejected, match="staging serves digits@5 now, which digits@6 was not compared with"):
        bump(anywhere.url, version(6), operation, compared=compared)


def test_a_version_of_a_model_that_was_retired_since_it_was_compared_is_refused(anywhere: World):
    anywhere.bump(5)
    retire(anywhere.url, "staging", "digits", operation_id="retire/1")
    operation = Operation("bump/late", "bump", "staging", version(6))
    with pytest.raises(Rejected, match="digits@6 was to follow digits@5, and staging serves none: it was retired"):
        bump(anywhere.url, version(6), operation, compared=5)


@pytest.mark.parametrize("compared", [None, 5, 7])
def test_a_version_takes_the_place_of_what_it_was_compared_with(world: World, compared: int | None):
    world.bump(5)
    bump(world.url, version(8), Operation("bump/8", "bump", "staging", version(8)), compared=compared)
    assert world.read().release("staging", "digits") == version(8)


def test_a_kustomization_that_people_edited_stays(world: World):
    world.bump(1)
    world.edit_by_hand({"envs/staging/digits/kustomization.yaml": "mine\n"})
    world.bump(2)
    assert world.show("envs/staging/digits/kustomization.yaml") == "mine\n"


def test_an_environment_behind_a_pull_request_takes_no_bump(world: World):
    operation = Operation("x", "bump", "production", version(1))
    with pytest.raises(Rejected, match="by pull request only; promote digits@1 from staging"):
        bump(world.url, version(1), operation)


def test_a_held_version_is_refused(anywhere: World):
    held = Hold(
        environment="staging", model="digits", number=2, digest=version(2).digest, reason="p95", since=datetime.now(UTC)
    )
    hold(anywhere.url, held)
    with pytest.raises(
        Rejected, match=r"digits@2 is on hold in staging \(p95\); `slipway release-hold staging digits@2`"
    ):
        anywhere.bump(2)


def test_a_frozen_environment_is_refused(world: World, now: datetime):
    freeze(world.url, "staging", Freeze(until=now + timedelta(hours=1), reason="audit"))
    with pytest.raises(Rejected, match=r"staging is frozen until 2026-03-01T13:00:00\+00:00 \(audit\)"):
        world.bump(1, now=now)


def test_the_same_number_with_another_digest_is_refused(world: World):
    world.bump(1)
    other = type(version(1))("digits", 1, "sha256:" + "f" * 64)
    with pytest.raises(Rejected, match="staging has digits@1 with digest"):
        bump(world.url, other, Operation("y", "bump", "staging", other))


def test_an_unknown_environment_is_named_with_those_there_are(world: World):
    with pytest.raises(Misconfigured, match="has no environment qa; use one of staging, production"):
        bump(world.url, version(1), Operation("x", "bump", "qa", version(1)))


def test_a_release_edited_into_nonsense_is_not_overwritten(world: World):
    world.bump(1)
    world.edit_by_hand({"envs/staging/digits/release.env": "VERSION=latest\n"})
    with pytest.raises(Rejected, match=r"envs/staging/digits/release\.env"):
        world.bump(2)


def test_nonsense_in_one_model_does_not_stop_another(world: World):
    world.bump(1)
    world.edit_by_hand({"envs/staging/digits/release.env": "VERSION=latest\n"})
    assert world.bump(1, "other").created


def test_the_hooks_of_the_server_run(world: World):
    world.hook("post-receive", 'cat > "$(dirname "$0")/../seen"')
    done = world.bump(1)
    assert done.commit in (world.repo / "seen").read_text()
