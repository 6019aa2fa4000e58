"""What the promoter shows on a real Gitea, and what it makes of what people do there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from forge_yard import Yard
from promotion_world import only, says

from gitops.approvals import requests
from gitops.environment_repo import read
from gitops.git import Git
from gitops.history import history
from gitops.hold import freeze, release_hold, unfreeze
from hera_workflows.promoter.progress import tell
from hera_workflows.promoter.scene import Line, Promoter
from hera_workflows.promoter.servers import Addresses
from slipway.environments import Freeze
from slipway.errors import Rejected, TryAgain
from slipway.verdict import Verdict
from slipway.version import ModelVersion

pytestmark = pytest.mark.slow


@pytest.fixture
def released(yard: Yard) -> ModelVersion:
    """toy@1 in the first environment, seen with 500 good requests."""
    version = yard.world.publish()
    yard.world.release(version)
    yard.world.say(says(500))
    return version


def push_onto(yard: Yard, branch: str, *how: str) -> str:
    """Somebody's commit on a branch; with `--amend` in place of what is there."""
    clone = yard.world.folder / "tampering"
    Git(clone / ".git").ask("clone", "--quiet", "--branch", branch, yard.world.url, str(clone))
    who = ("-c", "user.name=Eve", "-c", "user.email=eve@example.com", f"--work-tree={clone}")
    Git(clone / ".git").run(*who, "commit", "--quiet", "--allow-empty", *how, "--message", "Slip something in")
    Git(clone / ".git").run("push", "--quiet", "--force", "origin", f"HEAD:{branch}")
    return Git(clone / ".git").run("rev-parse", "HEAD").decode().strip()


def test_a_version_that_passes_becomes_a_pull_request_at_the_judged_commit(yard, released):
    line = only(yard.world.promote())
    pull = yard.pull()
    assert (line.action, line.commit, pull.state) == ("requested", pull.head, "open")
    assert line.reason.endswith(f"; waits for approval: {pull.url}")


def test_a_request_leads_to_who_trained_the_version_to_who_judged_it_and_to_its_source(yard, released):
    yard.world.promote(run="promote-7")
    body = yard.gitea.call("GET", f"/repos/{yard.env_project}/pulls/{yard.pull().number}")["body"]
    assert "[the workflow that trained it](https://argo.example/workflows/slipway/run-1)" in body
    assert "[promote-7](https://argo.example/workflows/slipway/promote-7)" in body
    assert f"({yard.gitea.url}/{yard.source_project}/commit/{yard.world.source_commit})" in body


def test_the_verdict_stands_on_the_head(yard, released):
    yard.world.promote()
    status = yard.forge.statuses(yard.pull().head)["slipway/verdict"]
    assert (status.state, status.description[:6]) == ("success", "PASS: ")


@pytest.mark.parametrize("replaced", [False, True], ids=["served", "replaced"])
def test_a_freeze_takes_the_verdict_off_the_head_until_it_is_lifted(yard, released, replaced: bool):
    yard.world.promote()
    if replaced:
        yard.world.release(yard.world.publish())
    freeze(yard.world.url, yard.world.second, Freeze(reason="holidays"))
    yard.world.promote()
    frozen = yard.forge.statuses(yard.pull().head)["slipway/verdict"]
    unfreeze(yard.world.url, yard.world.second)
    yard.world.promote()
    lifted = yard.forge.statuses(yard.pull().head)["slipway/verdict"]
    assert (frozen.state, frozen.description) == ("pending", f"{yard.world.second} is frozen: holidays")
    assert (lifted.state, lifted.url) == ("success", yard.pull().url)


def test_a_request_whose_version_failed_before_it_was_replaced_stays_a_failure(yard):
    yard.world.release(yard.world.publish(rollback="off"))
    yard.world.say(says(500))
    yard.world.promote()
    yard.world.say(says(900, 900))
    yard.world.promote()
    yard.world.release(yard.world.publish())
    yard.world.promote()
    status = yard.forge.statuses(yard.pull().head)["slipway/verdict"]
    assert (status.state, status.description[:10]) == ("failure", "FAIL since")


def test_a_failure_is_shown_on_the_requests_of_every_environment_that_follows(yard):
    third = yard.third()
    yard.world.release(yard.world.publish(rollback="off"))
    yard.world.say(says(500))
    yard.world.promote()
    yard.world.say(says(900, 900))
    yard.world.promote()
    for environment in (yard.world.second, third):
        head = yard.forge.request(f"promote/{environment}/toy-1").head
        assert yard.forge.statuses(head)["slipway/verdict"].state == "failure"


def test_one_comment_says_what_was_seen_lately(yard, released):
    yard.world.promote()
    yard.world.say(says(700))
    yard.world.promote()
    [comment] = yard.comments(yard.pull().number)
    assert "700 requests" in comment
    assert "[the workflow that asked](https://argo.example/workflows/slipway/" in comment


def test_a_second_pass_opens_nothing_twice(yard, released):
    yard.world.promote()
    before, pull = yard.world.heads(), yard.pull()
    assert only(yard.world.promote()).reason == f"waits for approval: {pull.url}"
    assert (yard.world.heads(), yard.forge.requests()) == (before, (yard.forge.request(pull.branch),))


def test_a_merge_by_a_person_is_the_promotion_approved_by_them(yard, released):
    yard.world.promote()
    yard.press_merge(yard.pull())
    event = next(history(yard.world.url, yard.world.second, "toy"))
    assert (event.after, event.operation.action, event.operation.approved_by) == (released, "promote", "grace")


def test_a_merged_request_leaves_nothing_behind(yard, released):
    yard.world.promote()
    yard.press_merge(yard.pull())
    yard.world.say(says(500), yard.world.second)
    done = yard.world.promote()
    assert done.settled[0].startswith(f"toy@1 for {yard.world.second} was merged by grace: http")
    assert [line.action for line in done.lines] == ["nothing", "nothing"]
    assert requests(yard.world.url) == []


@pytest.mark.parametrize("how", ["squash", "rebase"])
def test_a_merge_in_another_style_is_a_promotion_too(yard, released, how):
    yard.world.promote()
    yard.press_merge(yard.pull(), Do=how)
    yard.world.promote()
    assert read(yard.world.url).release(yard.world.second, "toy") == released
    assert requests(yard.world.url) == []


def test_a_request_that_a_person_closed_is_held_and_not_opened_again(yard, released):
    yard.world.promote()
    pull = yard.pull()
    yard.person().close(pull.number)
    done = yard.world.promote()
    assert read(yard.world.url).held(yard.world.second, released).reason.endswith(pull.url)
    assert only(done).action == "nothing"
    assert (requests(yard.world.url), yard.forge.requests()) == ([], ())


def test_a_version_that_was_let_in_again_gets_a_new_request(yard, released):
    yard.world.promote()
    first = yard.pull()
    yard.person().close(first.number)
    yard.world.promote()
    release_hold(yard.world.url, yard.world.second, "toy", 1)
    assert only(yard.world.promote()).action == "requested"
    assert yard.pull().number > first.number


def test_an_older_request_is_closed_with_a_link_to_the_newer_one(yard, released):
    yard.world.promote()
    older = yard.pull()
    newer = yard.world.publish()
    yard.world.release(newer)
    yard.world.say(says(500, number=2))
    yard.world.promote()
    assert [request.version for request in requests(yard.world.url)] == [newer]
    assert yard.forge.request(older.branch).state == "closed"
    assert any(yard.pull(2).url in comment for comment in yard.comments(older.number))
    assert read(yard.world.url).holds == []


@pytest.mark.parametrize("how", [(), ("--amend",)], ids=["added to", "wrote anew"])
def test_a_head_that_somebody_changed_is_judged_again_in_the_same_request(yard, released, how):
    yard.world.promote()
    pull = yard.pull()
    foreign = push_onto(yard, pull.branch, *how)
    assert only(yard.world.promote()).action == "requested"
    again = yard.pull()
    assert (again.number, again.state) == (pull.number, "open")
    assert again.head not in (pull.head, foreign)
    assert yard.forge.statuses(again.head)["slipway/verdict"].state == "success"
    assert yard.forge.statuses(foreign)["slipway/verdict"].state == "error"


def test_automatic_approval_is_merged_by_the_forge_with_our_trailers(yard):
    version = yard.world.publish(approval="automatic")
    yard.world.release(version)
    yard.world.say(says(500))
    line = only(yard.world.promote())
    event = next(history(yard.world.url, yard.world.second, "toy"))
    assert (line.action, line.commit, event.commit) == ("merged", event.commit, line.commit)
    assert (event.after, event.operation.approved_by) == (version, "the policy of toy@1")
    assert (yard.pull().state, requests(yard.world.url)) == ("merged", [])


def test_a_freeze_that_came_after_the_judgement_stops_the_automatic_merge(yard):
    yard.world.release(yard.world.publish(approval="automatic"))
    yard.world.say(says(500))

    def meanwhile(point: str) -> None:
        if point == "told":
            freeze(yard.world.url, yard.world.second, Freeze(reason="holidays"))

    line = only(yard.world.promote(at=meanwhile))
    assert isinstance(line.error, Rejected)
    assert "frozen" in line.reason
    assert read(yard.world.url).release(yard.world.second, "toy") is None


def test_two_promoters_at_once_merge_once(yard):
    yard.world.release(yard.world.publish(approval="automatic"))
    yard.world.say(says(500))

    def meanwhile(point: str) -> None:
        if point == "checked":
            yard.world.promote()

    line = only(yard.world.promote(at=meanwhile))
    assert line.action == "merged" or isinstance(line.error, TryAgain | Rejected)
    events = [event.operation.action for event in history(yard.world.url, yard.world.second, "toy")]
    assert events == ["promote"]


def test_the_source_commit_says_how_far_the_model_came(yard, released):
    yard.world.promote()
    waiting, pull = yard.said(), yard.pull()
    yard.press_merge(pull)
    yard.world.say(says(500), yard.world.second)
    yard.world.promote()
    assert (waiting.state, waiting.url) == ("success", pull.url)
    assert waiting.description == f"served in {yard.world.first}; waits for approval for {yard.world.second}"
    assert yard.said().description == f"served in {yard.world.second}"


def test_the_source_commit_says_that_a_version_recovered_however_long_after_its_release(yard):
    version = yard.world.publish()
    yard.world.release(version)
    promoter = Promoter(yard.world.url, yard.world.store, None, Addresses({}), "run-1", forge=yard.world.forges)
    line = Line(yard.world.first, version, None, Verdict.FAIL, "nothing", "", ready=True, stays=True)
    said = []
    for verdict in (Verdict.FAIL, Verdict.PASS):
        tell(promoter, [replace(line, verdict=verdict)], datetime.now(UTC) + timedelta(days=30))
        said.append(yard.said().state)
    assert said == ["failure", "success"]


def test_what_each_pass_finds_the_same_is_said_once(yard, released):
    for run in ("promote-1", "promote-2"):
        yard.world.promote(run=run)
    statuses = yard.gitea.call("GET", f"/repos/{yard.source_project}/commits/{yard.world.source_commit}/statuses")
    assert len([each for each in statuses if "waits for approval" in each["description"]]) == 1
    yard.press_merge(yard.pull())
    yard.world.say(says(500), yard.world.second)
    for run in ("promote-3", "promote-4"):
        yard.world.promote(run=run)
    statuses = yard.gitea.call("GET", f"/repos/{yard.source_project}/commits/{yard.world.source_commit}/statuses")
    served = [each for each in statuses if each["description"] == f"served in {yard.world.second}"]
    assert [each["target_url"].rpartition("/")[2] for each in served] == ["promote-3"]


def test_the_source_commit_says_that_and_why_a_version_was_taken_out(yard):
    yard.world.release(yard.world.publish())
    yard.world.release(yard.world.publish())
    yard.world.say(says(300, 300, number=2))
    yard.world.promote()
    said = yard.said()
    assert said.state == "failure"
    assert said.description.startswith(f"rolled back in {yard.world.first}: 50 % errors in 600 requests")
