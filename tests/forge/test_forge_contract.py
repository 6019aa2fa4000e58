"""What every forge must do, whichever it is; each test runs against each adapter."""

from __future__ import annotations

import pytest
from forge_world import BRANCH, ForgeWorld, need, until_mergeable

from gitops.forge import CommitStatus, Protection
from gitops.forge.calls import Refused
from slipway.errors import Rejected

pytestmark = pytest.mark.slow


def test_an_opened_request_is_found_by_its_branch(world: ForgeWorld):
    head = world.push(BRANCH, "5")
    opened = world.forge.open_request(BRANCH, "main", "Promote digits@5", "Verdict: PASS")
    found = world.forge.request(BRANCH)
    assert found is not None
    assert (found.number, found.branch, found.base, found.head, found.state) == (
        opened.number,
        BRANCH,
        "main",
        head,
        "open",
    )
    assert found.url.startswith("http")
    assert (found.settled_at, found.merged_by, found.merge_commit) == (None, None, None)


def test_a_branch_without_a_request_has_none(world: ForgeWorld):
    world.push(BRANCH, "5")
    assert world.forge.request(BRANCH) is None


def test_opening_twice_gives_one_request_with_the_newer_text(world: ForgeWorld):
    world.push(BRANCH, "5")
    first = world.forge.open_request(BRANCH, "main", "Promote", "before")
    second = world.forge.open_request(BRANCH, "main", "Promote digits@5", "after\n\n| a |\n| - |\n")
    assert second.number == first.number
    assert [request.number for request in world.forge.requests()] == [first.number]
    text = world.forge.api.numbered(first.number)
    assert (text.title, text.body.strip()) == ("Promote digits@5", "after\n\n| a |\n| - |")


def test_a_request_for_a_branch_that_was_not_pushed_is_rejected(world: ForgeWorld):
    need(world, "missing branches")
    with pytest.raises(Rejected, match="push the branch first"):
        world.forge.open_request("promote/production/gone-1", "main", "Promote", "text")


def test_only_open_requests_are_listed(world: ForgeWorld):
    opened = []
    for number in (1, 2, 3):
        branch = f"promote/production/digits-{number}"
        world.push(branch, str(number))
        opened.append(world.forge.open_request(branch, "main", f"Promote {number}", "text"))
    world.forge.close(opened[1].number)
    assert [r.branch for r in world.forge.requests()] == [opened[0].branch, opened[2].branch]


def test_a_merge_has_the_judged_head_as_its_second_parent(world: ForgeWorld):
    head, before = world.push(BRANCH, "5"), world.main()
    opened = world.forge.open_request(BRANCH, "main", "Promote digits@5", "text")
    merge = world.forge.merge(opened.number, head, "Promote digits@5 to production\n\nOperation-Id: x")
    assert world.main() == merge
    assert world.parents(merge) == [before, head]
    assert world.message(merge).splitlines()[0] == "Promote digits@5 to production"
    assert "Operation-Id: x" in world.message(merge)


def test_a_merged_request_says_by_whom_when_and_as_what(world: ForgeWorld):
    head = world.push(BRANCH, "5")
    opened = world.forge.open_request(BRANCH, "main", "Promote", "text")
    merge = world.person.merge(opened.number, head, "Promote digits@5")
    found = world.forge.request(BRANCH)
    assert found is not None
    assert (found.state, found.head, found.merge_commit) == ("merged", head, merge)
    assert found.merged_by == world.person.user() != world.forge.user()
    assert found.settled_at is not None


def test_merging_what_is_merged_answers_with_the_same_commit(world: ForgeWorld):
    head = world.push(BRANCH, "5")
    opened = world.forge.open_request(BRANCH, "main", "Promote", "text")
    merge = world.forge.merge(opened.number, head, "Promote digits@5")
    assert world.forge.merge(opened.number, head, "Promote digits@5") == merge
    assert world.main() == merge


def test_a_request_that_moved_since_it_was_judged_is_not_merged(world: ForgeWorld):
    need(world, "moving heads")
    judged, before = world.push(BRANCH, "5"), world.main()
    opened = world.forge.open_request(BRANCH, "main", "Promote", "text")
    moved = world.push(BRANCH, "6")
    found = world.forge.request(BRANCH)
    assert found is not None
    assert found.head == moved
    with pytest.raises(Rejected, match="must be judged again"):
        world.forge.merge(opened.number, judged, "Promote digits@5")
    assert world.main() == before


def test_a_request_is_not_merged_at_another_head_than_it_has(world: ForgeWorld):
    world.push(BRANCH, "5")
    before = world.main()
    opened = world.forge.open_request(BRANCH, "main", "Promote", "text")
    with pytest.raises(Rejected, match="must be judged again"):
        world.forge.merge(opened.number, before, "Promote digits@5")
    assert world.main() == before


def test_the_forge_itself_refuses_to_merge_another_head_than_the_request_has(world: ForgeWorld):
    head, before = world.push(BRANCH, "5"), world.main()
    number = world.forge.open_request(BRANCH, "main", "Promote", "text").number
    until_mergeable(world, number)
    with pytest.raises(Refused):
        world.forge.api.merge(number, before, "Promote digits@5", "")
    assert world.main() == before
    # Nothing else stood in its way; but Gitea looks for conflicts again after a refusal, and says 405 meanwhile.
    assert world.forge.merge(number, head, "Promote digits@5") == world.main()


def test_the_forge_itself_refuses_to_merge_what_was_pushed_after_the_last_look(world: ForgeWorld):
    need(world, "moving heads")
    judged, before = world.push(BRANCH, "5"), world.main()
    number = world.forge.open_request(BRANCH, "main", "Promote", "text").number
    moved = world.push(BRANCH, "6")
    until_mergeable(world, number)
    with pytest.raises(Refused):
        world.forge.api.merge(number, judged, "Promote digits@5", "")
    assert world.main() == before
    assert world.forge.merge(number, moved, "Promote digits@6") == world.main()


def test_a_request_that_conflicts_is_not_merged(world: ForgeWorld):
    need(world, "conflicts")
    head = world.push(BRANCH, "5")
    opened = world.forge.open_request(BRANCH, "main", "Promote", "text")
    before = world.push("main", "4")
    with pytest.raises(Rejected, match="conflicts"):
        world.forge.merge(opened.number, head, "Promote digits@5")
    assert world.main() == before


def test_a_closed_request_is_not_merged(world: ForgeWorld):
    head, before = world.push(BRANCH, "5"), world.main()
    opened = world.forge.open_request(BRANCH, "main", "Promote", "text")
    world.person.close(opened.number)
    with pytest.raises(Rejected, match="was closed"):
        world.forge.merge(opened.number, head, "Promote digits@5")
    assert world.main() == before


def test_closing_twice_is_closing_once(world: ForgeWorld):
    head = world.push(BRANCH, "5")
    opened = world.forge.open_request(BRANCH, "main", "Promote", "text")
    world.forge.close(opened.number)
    world.forge.close(opened.number)
    found = world.forge.request(BRANCH)
    assert found is not None
    assert (found.state, found.head, found.merge_commit, found.merged_by) == ("closed", head, None, None)
    assert found.settled_at is not None


def test_closing_a_merged_request_leaves_it_merged(world: ForgeWorld):
    head = world.push(BRANCH, "5")
    opened = world.forge.open_request(BRANCH, "main", "Promote", "text")
    world.forge.merge(opened.number, head, "Promote digits@5")
    world.forge.close(opened.number)
    found = world.forge.request(BRANCH)
    assert found is not None
    assert found.state == "merged"


def test_a_closed_request_keeps_the_head_that_was_closed(world: ForgeWorld):
    judged = world.push(BRANCH, "5")
    world.forge.close(world.forge.open_request(BRANCH, "main", "Promote", "text").number)
    world.push(BRANCH, "6")
    found = world.forge.request(BRANCH)
    assert found is not None
    assert found.head == judged


def test_after_a_closed_request_a_new_one_is_opened_and_found(world: ForgeWorld):
    world.push(BRANCH, "5")
    first = world.forge.open_request(BRANCH, "main", "Promote", "text")
    world.forge.close(first.number)
    head = world.push(BRANCH, "6")
    second = world.forge.open_request(BRANCH, "main", "Promote", "text")
    assert second.number != first.number
    found = world.forge.request(BRANCH)
    assert found is not None
    assert (found.number, found.head, found.state) == (second.number, head, "open")


def test_of_two_closed_requests_the_newer_one_is_found(world: ForgeWorld):
    world.push(BRANCH, "5")
    for _ in range(2):
        last = world.forge.open_request(BRANCH, "main", "Promote", "text")
        world.forge.close(last.number)
    found = world.forge.request(BRANCH)
    assert found is not None
    assert found.number == last.number


def test_the_request_of_a_deleted_branch_is_still_found(world: ForgeWorld):
    head = world.push(BRANCH, "5")
    opened = world.forge.open_request(BRANCH, "main", "Promote", "text")
    world.forge.close(opened.number)
    world.forge.delete_branch(BRANCH)
    world.forge.delete_branch(BRANCH)
    found = world.forge.request(BRANCH)
    assert found is not None
    assert (found.number, found.branch, found.head, found.state) == (opened.number, BRANCH, head, "closed")


def test_a_comment_is_written_once_and_updated_in_place(world: ForgeWorld):
    world.push(BRANCH, "5")
    number = world.forge.open_request(BRANCH, "main", "Promote", "text").number
    first = world.forge.comment(number, "seen", "500 requests")
    assert world.forge.comment(number, "seen", "500 requests") == first
    assert world.forge.comment(number, "seen", "900 requests") == first
    assert first.startswith("http")
    bodies = [comment.body for comment in world.forge.api.comments(number)]
    assert bodies == ["<!-- slipway:seen -->\n900 requests"]


def test_comments_with_different_markers_stand_side_by_side(world: ForgeWorld):
    world.push(BRANCH, "5")
    number = world.forge.open_request(BRANCH, "main", "Promote", "text").number
    world.forge.comment(number, "seen", "one")
    world.forge.comment(number, "superseded", "two")
    assert len(list(world.forge.api.comments(number))) == 2


def test_a_comment_of_somebody_else_with_our_marker_is_left_alone(world: ForgeWorld):
    world.push(BRANCH, "5")
    number = world.forge.open_request(BRANCH, "main", "Promote", "text").number
    world.person.comment(number, "seen", "not by slipway")
    world.forge.comment(number, "seen", "by slipway")
    assert [c.body.splitlines()[1] for c in world.forge.api.comments(number)] == ["not by slipway", "by slipway"]


def test_two_comments_that_two_processes_wrote_at_once_become_one(world: ForgeWorld):
    world.push(BRANCH, "5")
    number = world.forge.open_request(BRANCH, "main", "Promote", "text").number
    for text in ("first", "second"):
        world.forge.api.add_comment(number, f"<!-- slipway:seen -->\n{text}")
    world.forge.comment(number, "seen", "one again")
    assert [c.body for c in world.forge.api.comments(number)] == ["<!-- slipway:seen -->\none again"]


@pytest.mark.parametrize("state", ["pending", "success", "failure", "error"])
def test_a_status_is_read_back_as_it_was_written(world: ForgeWorld, state: str):
    commit = world.main()
    world.forge.status(commit, "slipway/digits", state, "served in staging", "https://argo.test/w/1")  # type: ignore[arg-type]
    assert world.forge.statuses(commit) == {
        "slipway/digits": CommitStatus(state, "served in staging", "https://argo.test/w/1")  # type: ignore[arg-type]
    }


def test_a_status_goes_every_way_that_a_model_can_go(world: ForgeWorld):
    commit = world.main()
    way = [("pending", "training"), ("pending", "waits for approval"), ("success", "in production")]
    for state, description in [*way, ("failure", "rolled back"), ("success", "again"), *way]:
        world.forge.status(commit, "slipway/digits", state, description)  # type: ignore[arg-type]
        assert world.forge.statuses(commit) == {"slipway/digits": CommitStatus(state, description, "")}  # type: ignore[arg-type]


def test_contexts_do_not_disturb_each_other(world: ForgeWorld):
    commit = world.main()
    world.forge.status(commit, "slipway/digits", "success", "in production")
    world.forge.status(commit, "slipway/ner", "failure", "refused: f1 0.71 < 0.80")
    assert {c: s.state for c, s in world.forge.statuses(commit).items()} == {
        "slipway/digits": "success",
        "slipway/ner": "failure",
    }


def test_a_commit_with_more_statuses_than_a_page_has_them_all(world: ForgeWorld):
    commit = world.main()
    contexts = {f"slipway/model-{number}" for number in range(world.page + 1)}
    for context in contexts:
        world.forge.api.add_status(commit, context, "pending", "training", "", None)
    assert set(world.forge.statuses(commit)) == contexts


def test_a_long_description_is_cut_to_140_characters(world: ForgeWorld):
    world.forge.status(world.main(), "slipway/digits", "failure", "ü" * 300)
    assert len(world.forge.statuses(world.main())["slipway/digits"].description) == 140


def test_an_unprotected_branch_says_so(world: ForgeWorld):
    assert world.forge.protection("main") is None


def test_a_protected_branch_says_how_many_must_approve(world: ForgeWorld):
    world.protect(approvals=1)
    seen = world.forge.protection("main")
    assert isinstance(seen, Protection)
    assert seen.approvals == 1


def test_a_request_that_nobody_approved_is_not_merged_into_a_protected_branch(world: ForgeWorld):
    head, before = world.push(BRANCH, "5"), world.main()
    opened = world.forge.open_request(BRANCH, "main", "Promote", "text")
    world.protect(approvals=1)
    with pytest.raises(Rejected, match="protection"):
        world.forge.merge(opened.number, head, "Promote digits@5")
    assert world.main() == before
