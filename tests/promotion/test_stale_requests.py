"""A version that was taken out loses its request on a real Gitea, and a request that stays stops nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from forge_yard import Yard
from promotion_world import only, says

from gitops.approvals import requests
from gitops.environment_repo import read
from gitops.forge.open import open_forge
from gitops.rollback import rollback
from hera_workflows.promoter.scene import Forges
from slipway.verdict import Verdict
from slipway.version import ModelVersion

pytestmark = pytest.mark.slow


def by_hand(yard: Yard, reason: str) -> None:
    """Ada rolls the first environment back."""
    world, now = yard.world, datetime.now(UTC)
    rollback(world.url, world.first, "toy", now=now, reason=reason, operation_id="by-hand", by="Ada")


def without_the_right(yard: Yard) -> Forges:
    """The forge as it is for a token that it does not know."""
    wrong = open_forge("gitea", yard.gitea.url, yard.env_project, "0" * 40)
    return replace(yard.world.forges, environments=wrong)


@pytest.fixture
def waiting(yard: Yard) -> ModelVersion:
    """toy@2 came after toy@1 and waits for the second environment."""
    yard.world.release(yard.world.publish())
    version = yard.world.publish()
    yard.world.release(version)
    yard.world.say(says(500, number=2))
    yard.world.promote()
    return version


def test_a_version_that_is_taken_out_loses_its_request_and_the_request_says_why(yard, waiting):
    pull = yard.pull(2)
    by_hand(yard, "looks odd")
    yard.world.promote()
    assert yard.forge.request(pull.branch).state == "closed"
    assert any("looks odd" in comment for comment in yard.comments(pull.number))
    assert read(yard.world.url).held(yard.world.second, waiting).reason.startswith("rejected by the promoter")


def test_a_forge_that_refuses_keeps_no_bad_version_in_service(yard):
    yard.world.release(yard.world.publish())
    yard.world.release(yard.world.publish())
    yard.world.say(says(300, 300, number=2))
    done = yard.world.promote(forge=without_the_right(yard))
    assert (only(done).verdict, only(done).action) == (Verdict.FAIL, "rolled back")
    assert len(done.trouble) >= 1


def test_a_request_that_cannot_be_closed_keeps_no_bad_version_in_service(yard, waiting):
    by_hand(yard, "looks odd")
    yard.world.release(yard.world.publish())
    yard.world.say(says(300, 300, number=3))
    done = yard.world.promote(forge=without_the_right(yard))
    assert (only(done).action, done.closed) == ("rolled back", ())
    assert [request.version for request in requests(yard.world.url)] == [waiting]


def test_a_rollback_is_told_although_its_request_cannot_be_closed(yard, waiting):
    yard.world.say(says(500, 300, number=2))
    done = yard.world.promote(forge=without_the_right(yard))
    assert (only(done).action, done.closed) == ("rolled back", ())


def test_a_request_that_could_not_be_closed_is_closed_by_the_next_pass(yard, waiting):
    by_hand(yard, "looks odd")
    yard.world.promote(forge=without_the_right(yard))
    assert [request.version for request in yard.world.promote().closed] == [waiting]


def test_a_reason_why_a_request_was_closed_calls_nobody(yard, waiting):
    pull = yard.pull(2)
    by_hand(yard, "@grace saw <b>it</b>")
    yard.world.promote()
    said = f"Closed: it was taken out of {yard.world.first}: @&#8203;grace saw &lt;b&gt;it&lt;/b&gt;."
    assert any(comment.strip().endswith(said) for comment in yard.comments(pull.number))
