"""Promotions that wait for a person."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from env_world import World, version

from gitops.approvals import approve, check_merge, reject, requests
from gitops.hold import freeze, hold
from gitops.retire import retire
from slipway.environments import Freeze, Hold
from slipway.errors import Rejected
from slipway.operation import parse_message


def test_a_request_is_a_branch_with_one_commit_on_the_judged_one(anywhere: World):
    anywhere.bump(1)
    base = anywhere.main()
    request = anywhere.propose(1)
    assert request.branch == "promote/production/digits-1"
    assert anywhere.git("rev-parse", "promote/production/digits-1") == request.head
    assert anywhere.git("rev-parse", "promote/production/digits-1~1") == request.base == base
    assert anywhere.main() == base
    assert requests(anywhere.url) == [request]


def test_opening_the_same_request_twice_is_once(anywhere: World):
    anywhere.bump(1)
    assert anywhere.propose(1) == anywhere.propose(1)


def test_opening_again_on_a_later_commit_keeps_the_first(world: World):
    world.bump(1)
    first = world.propose(1)
    world.bump(1, "other")
    assert world.propose(1) == first


def test_a_newer_candidate_closes_the_older_request(anywhere: World):
    anywhere.bump(1)
    anywhere.propose(1)
    anywhere.bump(2)
    anywhere.propose(2)
    assert [r.version.number for r in requests(anywhere.url)] == [2]


def test_an_older_candidate_does_not_close_the_newer_request(world: World):
    world.bump(2)
    world.propose(2)
    with pytest.raises(Rejected, match="digits@2 waits for production already; digits@1 is older"):
        world.propose(1)


def test_models_do_not_close_each_others_requests(world: World):
    world.bump(1)
    world.bump(1, "digits-2")
    world.propose(1)
    world.propose(1, "digits-2")
    assert world.branches() == ["promote/production/digits-1", "promote/production/digits-2-1"]


def test_approval_merges_exactly_the_judged_commit(anywhere: World, now: datetime):
    anywhere.bump(1)
    request = anywhere.propose(1)
    main = anywhere.main()
    done = approve(anywhere.url, "production", "digits", by="Ann Example", now=now, expected_head=request.head)
    assert anywhere.git("rev-list", "--parents", "-1", "main").split() == [done.commit, main, request.head]
    assert anywhere.read().release("production", "digits") == version(1)
    assert anywhere.show("envs/production/digits/evidence.json") == '{"verdict": "PASS"}\n'
    operation = parse_message(anywhere.git("log", "-1", "--format=%B", "main"))
    assert operation is not None
    assert (operation.approved_by, operation.source_env_commit) == ("Ann Example", request.base)
    assert requests(anywhere.url) == []


def test_approval_after_a_retirement_brings_back_all_that_people_wrote(world: World, now: datetime):
    peoples = {"kustomization.yaml": "mine\n", "patch.yaml": "more\n"}
    world.bump(1)
    world.propose(1)
    approve(world.url, "production", "digits", by="Ann", now=now)
    world.edit_by_hand({f"envs/production/digits/{name}": text for name, text in peoples.items()})
    retire(world.url, "production", "digits", operation_id="r")
    world.bump(2)
    world.propose(2)
    approve(world.url, "production", "digits", by="Ann", now=now)
    here = [path.removeprefix("envs/production/digits/") for path in world.paths() if "production/digits/" in path]
    assert sorted(here) == ["evidence.json", "kustomization.yaml", "patch.yaml", "release.env"]
    assert {name: world.show(f"envs/production/digits/{name}") for name in peoples} == peoples


def test_approving_twice_is_once(anywhere: World, now: datetime):
    anywhere.bump(1)
    anywhere.propose(1)
    first = approve(anywhere.url, "production", "digits", by="Ann", now=now)
    again = approve(anywhere.url, "production", "digits", by="Ann", now=now)
    assert (again.created, again.commit, anywhere.main()) == (False, first.commit, first.commit)


def test_approval_is_found_again_after_a_lost_acknowledgement(anywhere: World, now: datetime):
    anywhere.bump(1)
    anywhere.propose(1)
    anywhere.hook("post-receive", 'test -e "$GIT_DIR/lost" && exit 0; touch "$GIT_DIR/lost"; kill -9 $PPID')
    done = approve(anywhere.url, "production", "digits", by="Ann", now=now)
    assert (done.created, done.commit, anywhere.branches()) == (True, anywhere.main(), [])


def test_nothing_to_approve_says_where_to_look(world: World, now: datetime):
    with pytest.raises(Rejected, match="no promotion of digits waits for production; see `slipway approvals`"):
        approve(world.url, "production", "digits", by="Ann", now=now)


def test_approval_after_main_moved_keeps_both(anywhere: World, now: datetime):
    anywhere.bump(1)
    anywhere.propose(1)
    anywhere.bump(2)
    approve(anywhere.url, "production", "digits", by="Ann", now=now)
    seen = anywhere.read()
    assert (seen.release("staging", "digits"), seen.release("production", "digits")) == (version(2), version(1))


def test_another_head_than_the_judged_one_is_refused(anywhere: World, now: datetime):
    anywhere.bump(1)
    request = anywhere.propose(1)
    with pytest.raises(Rejected, match="not what was judged"):
        approve(anywhere.url, "production", "digits", by="Ann", now=now, expected_head="0" * 40)
    assert requests(anywhere.url) == [request]


def test_a_branch_that_somebody_pushed_to_is_refused(anywhere: World, now: datetime):
    anywhere.bump(1)
    request = anywhere.propose(1)
    work = anywhere.clone()
    anywhere.person("checkout", "--quiet", request.branch, work=work)
    (work / "envs/production/digits/release.env").write_text("MODEL=digits\nVERSION=7\nDIGEST=x\n")
    anywhere.person("commit", "--quiet", "--all", "--message", "sneak", work=work)
    anywhere.person("push", "--quiet", "origin", "HEAD", work=work)
    (seen,) = requests(anywhere.url)
    assert seen.changed
    assert seen.head != request.head
    with pytest.raises(Rejected, match="not what was judged"):
        approve(anywhere.url, "production", "digits", by="Ann", now=now)


def test_a_request_that_cannot_be_merged_is_replaced_when_opened_again(anywhere: World, now: datetime):
    anywhere.bump(1)
    request = anywhere.propose(1)
    work = anywhere.clone()
    anywhere.person("checkout", "--quiet", request.branch, work=work)
    anywhere.person("commit", "--quiet", "--allow-empty", "--message", "on top", work=work)
    anywhere.person("push", "--quiet", "origin", "HEAD", work=work)
    again = anywhere.propose(1)
    assert not again.changed
    assert approve(anywhere.url, "production", "digits", by="Ann", now=now, expected_head=again.head).created


def test_a_request_whose_files_somebody_wrote_on_main_meanwhile_is_replaced_when_opened_again(
    anywhere: World, now: datetime
):
    anywhere.bump(1)
    anywhere.propose(1)
    anywhere.edit_by_hand({"envs/production/digits/kustomization.yaml": "mine\n"})
    (seen,) = requests(anywhere.url)
    assert seen.changed
    again = anywhere.propose(1)
    assert not again.changed
    approve(anywhere.url, "production", "digits", by="Ann", now=now, expected_head=again.head)
    assert anywhere.show("envs/production/digits/kustomization.yaml") == "mine\n"


FORGED = {
    "a freeze": "envs/production/freeze.json",
    "another model": "envs/production/other/release.env",
    "another environment": "envs/staging/digits/kustomization.yaml",
    "what environments accept": "envs/environments.yaml",
    "a file beside": "README.md",
    "a patch in the model's folder": "envs/production/digits/patch.yaml",
}


@pytest.mark.parametrize("path", FORGED.values(), ids=FORGED)
def test_a_head_with_the_trailers_of_a_request_and_a_file_more_is_refused(anywhere: World, now: datetime, path: str):
    anywhere.bump(1)
    request = anywhere.propose(1)
    work = anywhere.clone()
    anywhere.person("checkout", "--quiet", request.branch, work=work)
    (work / path).parent.mkdir(parents=True, exist_ok=True)
    (work / path).write_text("{}")
    anywhere.person("add", "--all", work=work)
    anywhere.person("commit", "--quiet", "--amend", "--no-edit", work=work)
    anywhere.person("push", "--quiet", "--force", "origin", "HEAD", work=work)
    (forged,) = requests(anywhere.url)
    before = anywhere.main()
    with pytest.raises(Rejected, match="not what was judged"):
        approve(anywhere.url, "production", "digits", by="Ann", now=now)
    with pytest.raises(Rejected, match="not what was judged"):
        check_merge(anywhere.url, forged, now)
    assert anywhere.main() == before
    assert approve(anywhere.url, "production", "digits", by="Ann", now=now, expected_head=anywhere.propose(1).head)


def test_a_branch_that_is_only_named_like_a_request_stops_none(world: World, now: datetime):
    world.bump(1)
    world.git("branch", "promote/production/digits-999", "main")
    world.propose(1)
    assert approve(world.url, "production", "digits", by="Ann", now=now).created
    world.bump(2)
    world.propose(2)
    reject(world.url, "production", "digits", by="Ann", reason="too slow")
    assert requests(world.url) == []


def test_a_freeze_that_nobody_understands_refuses_a_merge_by_the_forge(world: World, now: datetime):
    world.bump(1)
    request = world.propose(1)
    world.edit_by_hand({"envs/production/freeze.json": '{"reason": "holidays", "until": "2026-12-24"}'})
    with pytest.raises(Rejected, match=r"freeze\.json"):
        check_merge(world.url, request, now)


def test_a_hold_that_came_meanwhile_refuses(anywhere: World, now: datetime):
    anywhere.bump(1)
    anywhere.propose(1)
    held = Hold(
        environment="production", model="digits", number=1, digest=version(1).digest, reason="too slow", since=now
    )
    hold(anywhere.url, held)
    with pytest.raises(Rejected, match="on hold in production"):
        approve(anywhere.url, "production", "digits", by="Ann", now=now)


def test_a_freeze_refuses_until_it_ends(world: World, now: datetime):
    world.bump(1)
    world.propose(1)
    freeze(world.url, "production", Freeze(until=now + timedelta(hours=1), reason="fair"))
    with pytest.raises(Rejected, match="production is frozen until"):
        approve(world.url, "production", "digits", by="Ann", now=now)
    assert approve(world.url, "production", "digits", by="Ann", now=now + timedelta(hours=1)).created


def test_another_release_in_the_target_since_it_was_judged_refuses(anywhere: World, now: datetime):
    anywhere.bump(2)
    anywhere.propose(2)
    anywhere.edit_by_hand(
        {"envs/production/digits/release.env": f"MODEL=digits\nVERSION=1\nDIGEST={version(1).digest}\n"}
    )
    with pytest.raises(Rejected, match="not what was judged, or production is not"):
        approve(anywhere.url, "production", "digits", by="Ann", now=now)
    judged_again = anywhere.propose(2)
    assert approve(anywhere.url, "production", "digits", by="Ann", now=now, expected_head=judged_again.head).created


def test_a_rejected_version_is_held_and_not_proposed_again(anywhere: World):
    anywhere.bump(1)
    anywhere.propose(1)
    reject(anywhere.url, "production", "digits", by="Ann", reason="looks odd")
    assert requests(anywhere.url) == []
    hold = anywhere.read().held("production", version(1))
    assert hold is not None
    assert hold.reason == "rejected by Ann: looks odd"
    with pytest.raises(Rejected, match="on hold in production"):
        anywhere.propose(1)


def test_nothing_to_reject_says_where_to_look(world: World):
    with pytest.raises(Rejected, match="no promotion of digits waits"):
        reject(world.url, "production", "digits", by="Ann", reason="x")


@pytest.mark.parametrize("branch", ["promote/production/digits", "promote/production/x/y-1", "promote/x", "topic"])
def test_branches_that_are_no_requests_are_left_alone(world: World, branch: str):
    world.bump(1)
    world.git("update-ref", f"refs/heads/{branch}", world.main())
    assert requests(world.url) == []


def test_a_person_s_branch_with_a_request_s_name_is_left_out(anywhere: World):
    anywhere.bump(1)
    request = anywhere.propose(1)
    work = anywhere.person("checkout", "--quiet", "--orphan", "other")
    anywhere.person("commit", "--quiet", "--message", "Try something", work=work)
    anywhere.person("push", "--quiet", "origin", "other:promote/production/digits-7", work=work)
    assert requests(anywhere.url) == [request]
