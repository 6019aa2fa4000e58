"""What git says happened."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import click
import pytest
from env_world import PERSON, World, version

from gitops.approvals import approve
from gitops.history import Event, history, past
from gitops.rollback import rollback
from hera_workflows.cli.history import as_table
from slipway.errors import Misconfigured
from slipway.version import render_release_env


def told(world: World, *arguments: str, **options: object) -> list[tuple[str, str | None, str | None, str | None]]:
    return [
        (
            event.operation.action if event.operation else event.who,
            event.environment,
            str(event.before) if event.before else None,
            str(event.after) if event.after else None,
        )
        for event in history(world.url, *arguments, **options)  # type: ignore[arg-type]
    ]


def test_events_come_newest_first_with_what_was_there_before(anywhere: World, now: datetime):
    anywhere.bump(1)
    anywhere.propose(1)
    approve(anywhere.url, "production", "digits", by="Ann", now=now)
    anywhere.bump(2)
    rollback(anywhere.url, "staging", "digits", now=now, reason="x", operation_id="rb")
    assert told(anywhere) == [
        ("rollback", "staging", "digits@2", "digits@1"),
        ("bump", "staging", "digits@1", "digits@2"),
        ("promote", "production", None, "digits@1"),
        ("bump", "staging", None, "digits@1"),
        ("seed", None, None, None),
    ]


def test_one_environment_and_one_model_can_be_asked_for(world: World):
    world.bump(1)
    world.bump(1, "other")
    assert told(world, "staging", "other") == [("bump", "staging", None, "other@1")]
    assert told(world, "production") == []
    assert told(world, limit=1) == [("bump", "staging", None, "other@1")]


def test_a_persons_revert_is_a_persons_commit(anywhere: World):
    anywhere.bump(1)
    anywhere.bump(2)
    work = anywhere.clone()
    anywhere.person("revert", "--no-edit", "HEAD", work=work)
    anywhere.person("push", "--quiet", "origin", "HEAD:main", work=work)
    assert told(anywhere)[0] == ("Ann", "staging", "digits@2", "digits@1")


def test_a_persons_commit_over_several_models_is_several_events(world: World):
    world.bump(1)
    world.bump(1, "other")
    world.edit_by_hand({"envs/staging/digits/release.env": None, "envs/staging/other/release.env": None})
    assert told(world)[:2] == [("Ann", "staging", "other@1", None), ("Ann", "staging", "digits@1", None)]


def merge_as_a_forge(world: World, branch: str, *options: str) -> None:
    """What a forge does when a person presses "merge": nothing of slipway's stands in its message."""
    work = world.clone()
    message = ("--message", f"Merge pull request 'Promote' (#1) from {branch} into main", "--message", "Reviewed-on: x")
    world.person("merge", "--quiet", "--no-ff", *message, *options, f"origin/{branch}", work=work)
    world.person("push", "--quiet", "origin", "HEAD:main", work=work)


def test_a_merge_of_a_forge_is_the_promotion_that_was_judged(anywhere: World):
    anywhere.bump(1)
    request = anywhere.propose(1)
    merge_as_a_forge(anywhere, request.branch)
    event = next(history(anywhere.url))
    assert (event.environment, event.before, event.after) == ("production", None, version(1))
    assert event.operation == replace(request.operation, approved_by="Ann")


def test_a_merge_that_releases_something_else_than_was_judged_is_a_persons_commit(world: World):
    world.bump(1)
    request = world.propose(1)
    work = world.clone()
    other = world.show("envs/production/digits/release.env", request.head).replace("VERSION=1", "VERSION=7")
    world.person("merge", "--quiet", "--no-ff", "--no-commit", f"origin/{request.branch}", work=work)
    (work / "envs/production/digits/release.env").write_text(other)
    world.person("commit", "--quiet", "--all", "--message", "Merge, but otherwise", work=work)
    world.person("push", "--quiet", "origin", "HEAD:main", work=work)
    assert told(world)[0] == ("Ann", "production", None, "digits@7")


def test_a_revert_of_a_forges_merge_takes_the_version_out(world: World):
    world.bump(1)
    request = world.propose(1)
    merge_as_a_forge(world, request.branch)
    work = world.clone()
    world.person("revert", "--no-edit", "-m", "1", "HEAD", work=work)
    world.person("push", "--quiet", "origin", "HEAD:main", work=work)
    assert past(world.url).taken_out == {("production", "digits"): {1}}


def test_a_later_commit_of_main_contains_a_release_and_an_earlier_one_does_not(anywhere: World):
    before = anywhere.main()
    anywhere.bump(1)
    anywhere.bump(1, "other")
    found = past(anywhere.url)
    released = found.released["staging", "digits"].commit
    assert [found.contains(revision, released) for revision in (before, released, anywhere.main(), "a" * 40)] == [
        False,
        True,
        True,
        False,
    ]


def test_nonsense_by_hand_is_shown_with_what_is_wrong(world: World):
    world.bump(1)
    world.edit_by_hand({"envs/staging/digits/release.env": "VERSION=latest\n"})
    event = next(history(world.url))
    assert (event.before, event.after) == (version(1), None)
    assert event.problem is not None
    assert event.problem.startswith("envs/staging/digits/release.env: MODEL, DIGEST missing")


def test_a_machine_commit_with_damaged_trailers_is_shown_with_what_is_wrong(world: World):
    message = "Release x\n\nOperation-Id: a\nAction: explode\nEnvironment: staging\n"
    world.edit_by_hand({"envs/x.txt": "x"}, message)
    event = next(history(world.url))
    assert event.operation is None
    assert event.problem is not None
    assert "'explode' is not an action" in event.problem


def test_history_of_an_empty_repository_says_how_to_set_it_up(empty: World):
    with pytest.raises(Misconfigured, match="slipway env init"):
        list(history(empty.url))


def test_history_before_a_commit(anywhere: World):
    first = anywhere.bump(1).commit
    anywhere.bump(2)
    assert told(anywhere, start=first)[0] == ("bump", "staging", None, "digits@1")


def test_the_history_table(world: World, now: datetime, golden: Callable[[str, str], None]):
    world.bump(1)
    world.propose(1)
    approve(world.url, "production", "digits", by="Ann Example", now=now)
    world.bump(2)
    rollback(world.url, "staging", "digits", now=now, reason="x", operation_id="rb")
    world.edit_by_hand({"envs/staging/digits/release.env": None}, "Stop \x1b[31mdigits")
    merge_as_a_forge(world, world.propose(2).branch)
    shown = as_table([_fixed(count, e) for count, e in enumerate(history(world.url))])
    golden("history.txt", click.unstyle(shown) + "\n")


@pytest.mark.slow
def test_twenty_thousand_commits_are_read_in_one_go(world: World):
    # A commit of a person for every hundred of slipway's.
    head = world.main()
    lines = []
    for count in range(20_000):
        by_hand = count % 100 == 0
        text = f"By hand {count}" if by_hand else _bump_message(count)
        parent = f"from {head}\n" if count == 0 else ""
        lines.append(
            f"commit refs/heads/main\ncommitter a <a@b> {count} +0000\ndata {len(text)}\n{text}\n{parent}"
            f"M 100644 inline envs/staging/m{count % 50}/release.env\ndata 0\n\n"
        )
    environment = {**os.environ, **PERSON}
    subprocess.run(
        ["git", "-C", world.repo, "fast-import", "--quiet"], input="".join(lines).encode(), check=True, env=environment
    )
    assert sum(1 for _ in history(world.url)) == 20_001


def _bump_message(count: int) -> str:
    return (
        f"Release m{count % 50}@{count} to staging\n\nOperation-Id: b/{count}\nAction: bump\nEnvironment: staging\n"
        f"Model: m{count % 50}\nVersion: {count}\nDigest: sha256:{count:064x}\n"
    )


def _fixed(count: int, event: Event) -> Event:
    operation = event.operation
    if operation is not None and operation.rollback_of is not None:
        operation = replace(operation, rollback_of="b" * 40)
    return replace(
        event, commit=f"{count:040x}"[::-1], when=datetime(2026, 3, 1, 12, count, tzinfo=UTC), operation=operation
    )


def test_a_commit_from_the_year_three_million_is_history_too(world: World):
    world.bump(1)
    work = world.clone()
    environment = {**os.environ, **PERSON, "GIT_COMMITTER_DATE": "@99999999999999 +0000"}
    subprocess.run(["git", "-C", work, "commit", "-q", "--allow-empty", "-m", "Later"], check=True, env=environment)
    world.person("push", "--quiet", "origin", "HEAD:main", work=work)
    assert [event.when.year for event in history(world.url, limit=1)] == [9999]


@pytest.mark.parametrize("clock", ["@100000000 +0000", "@4000000000 +0000"], ids=["backwards", "forwards"])
def test_a_clock_that_jumped_changes_neither_the_order_nor_what_a_rollback_returns_to(
    anywhere: World, now: datetime, monkeypatch: pytest.MonkeyPatch, clock: str
):
    anywhere.bump(1)
    monkeypatch.setenv("GIT_AUTHOR_DATE", clock)
    monkeypatch.setenv("GIT_COMMITTER_DATE", clock)
    anywhere.edit_by_hand({"envs/staging/digits/release.env": render_release_env(version(2))})
    anywhere.bump(3)
    releases = [after for _, _, _, after in told(anywhere) if after]
    assert releases == ["digits@3", "digits@2", "digits@1"]
    rollback(anywhere.url, "staging", "digits", now=now, reason="x", operation_id="rb")
    assert anywhere.read().release("staging", "digits") == version(2)
