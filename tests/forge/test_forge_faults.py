"""Answers of a real forge get lost, come half, or are refusals for the moment: nothing is done twice, all is done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from forge_world import GiteaWorld
from front import Asked, Reply, front
from gitea_here import Gitea

from gitops.forge import CommitStatus


def _lost(behind: Callable[[], Reply]) -> Reply:
    return Reply(behind().status, b"", how="cut")


def _half(behind: Callable[[], Reply]) -> Reply:
    answer = behind()
    return Reply(answer.status, answer.body, answer.headers, how="half")


def _gateway(behind: Callable[[], Reply]) -> Reply:
    behind()
    return Reply(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"})


pytestmark = pytest.mark.slow

FAULTS: dict[str, Callable[[Callable[[], Reply]], Reply]] = {
    "the answer is lost after the work": _lost,
    "the answer is cut in half after the work": _half,
    "a gateway fails after the work": _gateway,
    "the forge fails before the work": lambda _: Reply.of(500, {"message": "database is locked"}),
    "the forge is asked too often": lambda _: Reply.of(429, {"message": "slow down"}, **{"Retry-After": "0"}),
}


class Trouble:
    """Passes everything on but one request, counted from 0."""

    def __init__(self) -> None:
        self.fault: Callable[[Callable[[], Reply]], Reply] | None = None
        self.at, self.seen, self.fired = 0, 0, False

    def set(self, fault: Callable[[Callable[[], Reply]], Reply], at: int) -> None:
        self.fault, self.at, self.seen, self.fired = fault, at, 0, False

    def answer(self, _: Asked, behind: Callable[[], Reply]) -> Reply:
        turn, self.seen = self.seen, self.seen + 1
        if self.fault is None or turn != self.at:
            return behind()
        self.fired = True
        return self.fault(behind)


@dataclass
class Troubled:
    world: GiteaWorld  # whose slipway talks through the trouble; the other person does not
    trouble: Trouble
    count: int = 0

    def branch(self) -> str:
        self.count += 1
        return f"promote/production/digits-{self.count}"

    def everywhere(self, fault: str, prepare: Callable[[], Callable[[], None]]) -> int:
        """Run what `prepare` gives with the fault at its first request, its second, and so on; how often it struck."""
        for at in range(30):
            run = prepare()
            self.trouble.set(FAULTS[fault], at)
            run()
            if not self.trouble.fired:
                return at
        raise AssertionError("an operation of more than 30 requests")


@pytest.fixture
def troubled(gitea: Gitea, tmp_path: Path) -> Iterator[Troubled]:
    trouble = Trouble()
    with front(gitea.url, trouble.answer) as before:
        yield Troubled(GiteaWorld(gitea, f"env-{uuid4().hex[:12]}", tmp_path, before.url), trouble)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_request_is_opened_once(troubled: Troubled, fault: str):
    world = troubled.world

    def prepare() -> Callable[[], None]:
        branch = troubled.branch()
        world.push(branch, branch)

        def run() -> None:
            opened = world.forge.open_request(branch, "main", "Promote", "text")
            assert [r.number for r in world.person.requests() if r.branch == branch] == [opened.number]

        return run

    assert troubled.everywhere(fault, prepare) >= 2
    assert len(world.person.requests()) == troubled.count


@pytest.mark.parametrize("fault", FAULTS)
def test_a_comment_is_written_once(troubled: Troubled, fault: str):
    world = troubled.world
    branch = troubled.branch()
    world.push(branch, branch)
    number = world.person.open_request(branch, "main", "Promote", "text").number

    def prepare() -> Callable[[], None]:
        marker = troubled.branch().rpartition("/")[2]

        def run() -> None:
            world.forge.comment(number, marker, "500 requests")
            written = [c.body for c in world.person.api.comments(number) if f"slipway:{marker} " in c.body]
            assert written == [f"<!-- slipway:{marker} -->\n500 requests"]

        return run

    assert troubled.everywhere(fault, prepare) >= 3


@pytest.mark.parametrize("fault", FAULTS)
def test_a_status_is_written_once(troubled: Troubled, fault: str):
    world = troubled.world
    commit = world.main()

    def prepare() -> Callable[[], None]:
        context = troubled.branch()

        def run() -> None:
            world.forge.status(commit, context, "pending", "training")
            written = world.gitea.call("GET", f"/repos/{world.project}/commits/{commit}/statuses")
            assert [status["context"] for status in written].count(context) == 1
            assert world.person.statuses(commit)[context] == CommitStatus("pending", "training", "")

        return run

    assert troubled.everywhere(fault, prepare) >= 2


@pytest.mark.parametrize("fault", FAULTS)
def test_a_request_is_merged_once(troubled: Troubled, fault: str):
    world = troubled.world

    def prepare() -> Callable[[], None]:
        branch = troubled.branch()
        head = world.push(branch, branch, path=branch.replace("/", "-"))
        before = world.main()
        number = world.person.open_request(branch, "main", "Promote", "text").number

        def run() -> None:
            merge = world.forge.merge(number, head, "Promote digits")
            assert merge == world.main()
            assert world.parents(merge) == [before, head]

        return run

    assert troubled.everywhere(fault, prepare) >= 3


@pytest.mark.parametrize("fault", FAULTS)
def test_closing_and_deleting_end_as_they_should(troubled: Troubled, fault: str):
    world = troubled.world

    def prepare() -> Callable[[], None]:
        branch = troubled.branch()
        world.push(branch, branch)
        number = world.person.open_request(branch, "main", "Promote", "text").number

        def run() -> None:
            world.forge.close(number)
            world.forge.delete_branch(branch)
            found = world.person.request(branch)
            assert found is not None
            assert found.state == "closed"
            assert world.tip(branch) is None

        return run

    assert troubled.everywhere(fault, prepare) >= 4


def test_a_forge_that_stalls_is_asked_again(troubled: Troubled):
    world = troubled.world
    branch = troubled.branch()
    world.push(branch, branch)
    troubled.trouble.set(lambda behind: Reply(behind().status, b"", how="stall"), 1)
    opened = world.forge.open_request(branch, "main", "Promote", "text")
    assert troubled.trouble.fired
    assert [r.number for r in world.person.requests()] == [opened.number]


def test_of_those_who_open_at_once_one_request_stays(gitea: Gitea, tmp_path: Path):
    world = GiteaWorld(gitea, f"env-{uuid4().hex[:12]}", tmp_path)
    branch = "promote/production/digits-1"
    world.push(branch, "1")
    numbers: list[int] = []

    def run() -> None:
        numbers.append(world.repository(gitea.url, "slipway-bot").open_request(branch, "main", "Promote", "t").number)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(numbers) == 4
    [left] = world.person.requests()
    assert left.number == min(numbers)
    again = world.forge.open_request(branch, "main", "Promote", "t")
    assert [again.number, world.forge.request(branch).number] == [left.number] * 2  # type: ignore[union-attr]
