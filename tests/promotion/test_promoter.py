"""What one pass does with real git and a real Prometheus, one fact a test."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from promotion_world import only, says

from gitops.approvals import approve, open_request, reject, requests
from gitops.environment_repo import read
from gitops.git import Git
from gitops.history import history
from gitops.hold import freeze, release_hold
from slipway.environments import Freeze
from slipway.errors import Rejected, TryAgain
from slipway.evidence import parse_evidence, recompute
from slipway.manifest import MetricValue
from slipway.operation import Operation
from slipway.verdict import Outcome, Verdict


def test_a_version_that_passes_asks_for_the_next_environment(world, released):
    line = only(world.promote())
    [request] = requests(world.url)
    assert (line.verdict, line.action, line.commit) == (Verdict.PASS, "requested", request.head)
    assert (request.environment, request.version) == (world.second, released)


def test_a_request_changes_no_release_until_it_is_approved(world, released):
    world.promote()
    assert read(world.url).release(world.second, "toy") is None


def test_the_request_carries_the_evidence_it_was_judged_on(world, released):
    line = only(world.promote())
    evidence = parse_evidence(world.git("show", f"{line.commit}:envs/{world.second}/toy/evidence.json").encode())
    assert evidence.observation.requests == 500
    assert recompute(evidence).verdict is Verdict.PASS


def test_the_evidence_has_the_numbers_of_the_version_that_is_replaced_where_validation_compared_with_another(
    world, released
):
    world.promote()
    approve(world.url, world.second, "toy", by="Ada", now=datetime.now(UTC))
    world.release(world.publish(error=0.2))
    world.say(says(500, number=2))
    [line, _] = world.promote().lines
    evidence = parse_evidence(world.git("show", f"{line.commit}:envs/{world.second}/toy/evidence.json").encode())
    assert evidence.validation.metrics["mean_error"].value == 0.2
    assert evidence.previous_metrics == {"mean_error": MetricValue(value=0.1)}


def test_a_version_whose_predecessor_the_store_lost_is_promoted_without_its_numbers(world, released):
    world.promote()
    approve(world.url, world.second, "toy", by="Ada", now=datetime.now(UTC))
    world.release(world.publish())
    world.say(says(500, number=2))
    (world.folder / "store" / "toy" / "1" / "manifest.json").unlink()
    line = next(line for line in world.promote().lines if line.environment == world.first)
    evidence = parse_evidence(world.git("show", f"{line.commit}:envs/{world.second}/toy/evidence.json").encode())
    assert (line.action, evidence.previous_metrics) == ("requested", None)


def test_a_second_pass_changes_nothing(world, released):
    world.promote()
    before = world.heads()
    assert only(world.promote()).reason == f"waits for approval: `slipway approve {world.second} toy`"
    assert world.heads() == before


def test_an_approved_version_is_done(world, released):
    world.promote()
    approve(world.url, world.second, "toy", by="Ada", now=datetime.now(UTC))
    world.say(says(500), world.second)
    assert [(line.environment, line.action) for line in world.promote().lines] == [
        (world.first, "nothing"),
        (world.second, "nothing"),
    ]


def test_a_rejected_version_is_not_proposed_again(world, released):
    world.promote()
    reject(world.url, world.second, "toy", by="Ada", reason="not this week")
    assert "rejected by Ada: not this week" in only(world.promote()).reason
    assert requests(world.url) == []


def test_a_newer_version_that_passes_replaces_the_older_request(world, released):
    world.promote()
    newer = world.publish()
    world.release(newer)
    world.say(says(500, number=2))
    world.promote()
    assert [request.version for request in requests(world.url)] == [newer]


def test_automatic_approval_merges_what_was_judged_in_the_same_pass(world):
    version = world.publish(approval="automatic")
    world.release(version)
    world.say(says(500))
    line = only(world.promote())
    assert line.action == "merged"
    assert read(world.url).release(world.second, "toy") == version
    assert requests(world.url) == []


def test_an_inconclusive_validation_waits_for_a_person_even_with_automatic_approval(world):
    world.release(world.publish(outcome=Outcome.INCONCLUSIVE, approval="automatic"))
    world.say(says(500))
    line = only(world.promote())
    assert line.action == "requested"
    assert "validation was INCONCLUSIVE, so a person decides" in line.reason


def test_too_few_requests_wait(world):
    world.release(world.publish())
    world.say(says(3))
    line = only(world.promote())
    assert (line.verdict, line.action) == (Verdict.INSUFFICIENT_DATA, "waiting")


def test_the_long_soak_of_one_model_delays_no_other(world, until):
    world.release(world.publish(soak="2s"))
    world.release(world.publish("other", soak="30d"))
    world.say(says(500) + says(500, model="other"))

    def lines():
        return {line.version.name: line for line in world.promote().lines}

    until(lambda: lines()["toy"].action == "requested")
    assert lines()["other"].reason.endswith("; 30d needed")


def test_a_rollback_in_the_last_environment_comes_before_all_else(world):
    for _ in range(2):
        bad = world.publish()
        world.release(bad)
        world.say(says(500, number=bad.number))
        world.promote()
        approve(world.url, world.second, "toy", by="Ada", now=datetime.now(UTC))
    world.release(world.publish("other"))
    world.say(says(500, number=2) + says(500, model="other"))
    world.say(says(500, 300, number=2), world.second)
    found = []

    def at(point: str) -> None:
        if point == "acted":
            found.append(read(world.url).release(world.second, "toy").number)

    lines = world.promote(at=at).lines
    assert found == [1, 1]
    assert [(line.environment, line.version.name, line.action) for line in lines] == [
        (world.first, "other", "requested"),
        (world.first, "toy", "nothing"),
        (world.second, "toy", "rolled back"),
    ]


def test_no_series_wait(world):
    world.release(world.publish())
    world.say("")
    assert only(world.promote()).action == "waiting"


def test_a_version_that_was_let_in_again_is_proposed_again(world, released):
    world.promote()
    reject(world.url, world.second, "toy", by="Ada", reason="not this week")
    release_hold(world.url, world.second, "toy", 1)
    assert only(world.promote()).action == "requested"


def test_a_request_whose_branch_somebody_changed_is_judged_and_opened_again(world, released):
    world.promote()
    (request,) = requests(world.url)
    clone = world.folder / "tampering"
    Git(clone / ".git").ask("clone", "--quiet", "--branch", request.branch, world.url, str(clone))
    git = ("-c", "user.name=Eve", "-c", "user.email=eve@example.com", f"--work-tree={clone}")
    Git(clone / ".git").run(*git, "commit", "--allow-empty", "--message", "Slip something in")
    Git(clone / ".git").run("push", "--quiet", "origin", f"HEAD:{request.branch}")
    assert only(world.promote()).action == "requested"
    assert [(r.version, r.changed) for r in requests(world.url)] == [(released, False)]


def test_a_frozen_environment_is_asked_for_nothing(world, released):
    freeze(world.url, world.second, Freeze(reason="holidays"))
    assert only(world.promote()).reason == f"{world.second} is frozen until it is lifted: holidays"
    assert requests(world.url) == []


def test_a_git_revert_is_respected(world, released):
    world.promote()
    approve(world.url, world.second, "toy", by="Ada", now=datetime.now(UTC))
    newer = world.publish()
    world.release(newer)
    world.say(says(500, number=2))
    world.promote()
    approve(world.url, world.second, "toy", by="Ada", now=datetime.now(UTC))
    clone = world.folder / "clone"
    Git(clone / ".git").ask("clone", "--quiet", world.url, str(clone))
    git = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", f"--work-tree={clone}")
    Git(clone / ".git").run(*git, "revert", "--no-edit", "-m", "1", "HEAD")
    Git(clone / ".git").run("push", "--quiet", "origin", "HEAD:main")
    world.say(says(500, number=1), world.second)
    line = world.promote().lines[0]
    assert (line.action, requests(world.url)) == ("nothing", [])
    assert f"somebody took it out of {world.second}" in line.reason


def test_prometheus_down_changes_nothing(world, failing, free_port):
    before = world.heads()
    with pytest.raises(TryAgain, match="does not answer"):
        world.promote(prometheus_url=f"http://127.0.0.1:{free_port}")
    assert world.heads() == before


def test_doubled_series_change_nothing(world, failing):
    before = world.heads()
    world.say(says(1, 300, number=2) + says(1, 300, number=2).replace('model="toy"', 'model="toy",gpu="1"'))
    line = only(world.promote())
    assert (line.verdict, line.action) == (Verdict.ERROR, "waiting")
    assert world.heads() == before


def test_a_version_that_the_store_lost_stops_no_other(world, released):
    other = world.publish("other")
    world.release(other)
    world.say(says(500) + says(500, model="other"))
    (world.folder / "store" / "other" / "1" / "manifest.json").unlink()
    lines = {line.version.name: line for line in world.promote().lines}
    assert (lines["other"].action, lines["toy"].action) == ("failed", "requested")
    assert isinstance(lines["other"].error, Rejected)


def test_only_the_model_that_was_asked_for_is_promoted(world, released):
    world.release(world.publish("other"))
    world.say(says(500) + says(500, model="other"))
    assert only(world.promote(model="other")).version.name == "other"


def test_what_changed_while_it_was_judged_is_not_acted_on(world, failing):
    def meanwhile(point: str) -> None:
        if point == "decided":
            version = world.publish()
            world.release(version)

    line = only(world.promote(at=meanwhile))
    assert (line.action, read(world.url).release(world.first, "toy").number) == ("failed", 3)
    assert isinstance(line.error, TryAgain)


def test_two_promoters_at_once_do_what_one_does(world, failing):
    def meanwhile(point: str) -> None:
        if point == "rechecked":
            world.promote()

    world.promote(at=meanwhile)
    events = [event.operation.action for event in history(world.url, world.first, "toy")]
    assert events == ["rollback", "bump", "bump"]


def test_a_release_that_nobody_understands_is_named_and_stops_no_other(world, released):
    def nonsense() -> None:
        from gitops.edit import Edit, edit
        from slipway.operation import render_message

        path = f"envs/{world.first}/other/release.env"
        operation = Operation("odd", "hold", world.first)
        edit(
            world.url,
            lambda tip: Edit({path: b"VERSION=latest\n"}, render_message("Edit by hand", operation)),
            operation_id="odd",
            reads=[path],
        )

    nonsense()
    done = world.promote()
    assert list(done.broken) == [f"envs/{world.first}/other/release.env"]
    assert only(done).action == "requested"


def test_a_request_for_what_is_judged_by_somebody_else_is_left_alone(world, released):
    operation = Operation("mine", "promote", world.second, released)
    open_request(world.url, released, operation, evidence=b"{}", base=read(world.url).commit)
    before = world.heads()
    assert only(world.promote()).action == "nothing"
    assert world.heads() == before
