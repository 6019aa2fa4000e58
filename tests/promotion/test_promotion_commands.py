"""What people see and scripts get from promote, approvals, approve, reject and explain."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from promotion_world import says

from gitops.approvals import open_request
from gitops.environment_repo import read
from hera_workflows.cli import slipway as group
from slipway.errors import Rejected, TryAgain
from slipway.evidence import parse_evidence, promotion_evidence, render_evidence
from slipway.judge import judge
from slipway.operation import Operation
from slipway.version import ModelVersion

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def slipway(world):
    """slipway("approvals", "--json") runs a command on the world; errors of the three families come through."""
    environment = {
        "MODEL_STORE": world.store.root,
        "ENV_REPO": world.url,
        "PROMETHEUS_URL": world.prometheus_url,
        "SLIPWAY_HOME": str(world.folder / "no-platform"),
    }

    def run(*arguments: str, answer: str | None = None) -> Result:
        result = CliRunner().invoke(group, arguments, input=answer, env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def waiting(world):
    """toy@1 waits for the second environment."""
    version = world.publish()
    world.release(version)
    world.say(says(500))
    world.promote()
    return version


def test_promote_prints_one_line_for_each_model_and_environment(world, slipway):
    world.release(world.publish())
    world.say(says(500))
    lines = slipway("promote").stdout.splitlines()
    assert lines[0].split() == ["ENVIRONMENT", "MODEL", "VERDICT", "ACTION", "REASON"]
    assert lines[1].split()[:6] == [world.first, "toy@1", "PASS", "requested", "for", world.second]


def test_promote_speaks_json(world, slipway):
    world.release(world.publish())
    world.say(says(500))
    [line] = json.loads(slipway("promote", "--json").stdout)["lines"]
    assert (line["verdict"], line["action"], line["target"]) == ("PASS", "requested", world.second)


def test_promote_without_releases_says_what_to_do(slipway):
    assert slipway("promote").stdout == "nothing is released yet; push a model first\n"


def test_promote_of_a_model_that_is_not_released_is_refused(slipway):
    with pytest.raises(Rejected, match="nosuch is not released in any environment; `slipway status` shows what is"):
        slipway("promote", "--model", "nosuch")


def test_promote_waits_until_nothing_waits(world, slipway, background):
    world.release(world.publish(min_requests=600))
    world.say(says(500))
    background(lambda: world.say(says(700)))
    assert "waits for approval" in slipway("promote", "--wait", "30s").stdout


def test_promote_says_what_still_waits_when_the_time_is_over(world, slipway):
    world.release(world.publish(min_requests=600))
    world.say(says(500))
    with pytest.raises(TryAgain, match=f"after 1s this still waits: {world.first} toy@1: 500 requests; 600 needed"):
        slipway("promote", "--wait", "1s")


def test_promote_refuses_what_is_no_duration(slipway):
    result = slipway("promote", "--wait", "soon")
    assert result.exit_code == 2
    assert "write it as 90s, 10m, 1h30m or 2d" in result.stderr


def test_approvals_show_what_changes_and_how_to_approve(world, slipway, waiting):
    out = slipway("approvals").stdout
    row = out.splitlines()[1].split()
    assert row[:7] == [world.second, "toy", "-", "→", "1", "PASS", "PASS"]
    assert out.splitlines()[-1] == f"slipway approve {world.second} toy"


def test_approvals_say_when_nothing_waits(slipway):
    assert slipway("approvals").stdout == "nothing waits for approval\n"


def test_approvals_speak_json(world, slipway, waiting):
    [request] = json.loads(slipway("approvals", "--json").stdout)
    assert (request["from"], request["to"], request["verdict"]) == ("-", 1, "PASS")


def test_approvals_say_of_a_request_that_was_changed_that_it_is_judged_again(world, slipway, waiting):
    branch = f"refs/heads/promote/{world.second}/toy-1"
    who = ("-c", "user.name=Eve", "-c", "user.email=eve@example.com")
    foreign = world.git(*who, "commit-tree", "-p", branch, "-m", "Slip something in", f"{branch}^{{tree}}").strip()
    world.git("update-ref", branch, foreign)
    row = slipway("approvals").stdout.splitlines()[1]
    assert row.endswith("not what was judged any more; `slipway promote` judges it again")


def test_approve_shows_the_checks_and_merges_with_yes(world, slipway, waiting):
    out = slipway("approve", world.second, "toy", "--yes", "--by", "Ada").stdout
    assert "requests" in out
    assert f"{world.second}: no toy → toy@1" in out
    assert read(world.url).release(world.second, "toy") == waiting


def test_approve_records_who_approved(world, slipway, waiting):
    slipway("approve", world.second, "toy", "--yes", "--by", "Ada")
    assert "Approved-By: Ada" in world.git("log", "-1", "--format=%B", "main")


def test_approve_without_a_terminal_asks_for_yes_and_merges_nothing(world, slipway, waiting):
    result = slipway("approve", world.second, "toy")
    assert result.exit_code == 2
    assert "give --yes" in result.stderr
    assert read(world.url).release(world.second, "toy") is None


def test_approve_says_when_nothing_waits(world, slipway):
    with pytest.raises(Rejected, match="see `slipway approvals`"):
        slipway("approve", world.second, "toy", "--yes")


def test_reject_closes_the_request_and_says_how_to_undo_it(world, slipway, waiting):
    out = slipway("reject", world.second, "toy", "--reason", "not before the fair", "--by", "Ada").stdout
    assert out.startswith("rejected; `slipway release-hold ")
    assert slipway("approvals").stdout == "nothing waits for approval\n"


@pytest.fixture
def explained(world, seen, manifest_of, now):
    """explained(observation, **changes) is a request whose evidence is just that, its times and ids always the same."""
    version = ModelVersion("digits", 3, "sha256:" + "a" * 64)

    def build(observation=None, **changes) -> str:
        manifest = manifest_of(promotion={"p95_ms": "<= 50", "replay": 500, "approval": "automatic"})
        observation = observation or seen(replay={"sent": 500, "failed": 0, "mismatched": 0, "p95_ms": 9.0})
        evidence = promotion_evidence(
            "promotion",
            judge(observation, manifest.spec.promotion, now),
            observation,
            manifest,
            target="production",
            previous=ModelVersion("digits", 2, "sha256:" + "b" * 64),
            source_env_commit="e" * 40,
            judged_at=now,
        )
        content = json.loads(render_evidence(evidence)) | changes
        operation = Operation("promote-3", "promote", world.second, version)
        rendered = json.dumps(content).encode()
        return open_request(world.url, version, operation, evidence=rendered, base=read(world.url).commit).head

    return build


def test_explain_prints_what_a_person_can_read(slipway, explained):
    assert slipway("explain", explained()).stdout == (GOLDEN / "explain.txt").read_text()


def test_explain_takes_a_short_id(slipway, explained):
    assert slipway("explain", explained()[:9]).exit_code == 0


def test_explain_takes_a_branch(world, slipway, explained):
    explained()
    assert "digits@3 into production" in slipway("explain", f"promote/{world.second}/digits-3").stdout


def test_explain_refuses_evidence_that_gives_another_verdict(slipway, explained, seen):
    head = explained(seen(requests=3), verdict="PASS")
    with pytest.raises(Rejected, match="its evidence was edited"):
        slipway("explain", head)


def test_explain_speaks_json(slipway, explained):
    content = json.loads(slipway("explain", explained(), "--json").stdout)
    assert [(each["recomputed"], each["agrees"]) for each in content["releases"]] == [("PASS", True)]


def test_explain_tells_why_a_version_was_bumped(world, slipway):
    world.release(world.publish())
    assert f"toy@1 into {world.first}, on its validation alone: PASS" in slipway("explain", "main").stdout


def test_explain_tells_why_a_version_was_taken_out(world, slipway):
    world.release(world.publish())
    world.release(world.publish())
    world.say(says(300, 300, number=2))
    world.promote()
    assert f"toy@2 taken out of {world.first}, judged in {world.first}: FAIL" in slipway("explain", "main").stdout


@pytest.mark.parametrize("commit", ["0" * 40, "nonsense", "--all", "main~1", "abc"])
def test_explain_says_when_there_is_no_such_commit(slipway, commit):
    with pytest.raises(Rejected, match="`slipway history` lists them"):
        slipway("explain", "--", commit)


def test_explain_says_when_a_commit_carries_no_evidence(slipway):
    with pytest.raises(Rejected, match="carries no evidence"):
        slipway("explain", "main")


@pytest.mark.parametrize("length", [10, 40])
def test_explain_works_on_a_clone_over_a_url(world, explained, length):
    world.release(world.publish())
    head = explained()
    from gitops.evidence import evidence_of

    [content] = evidence_of(f"file://{world.url}", head[:length])[1].values()
    assert parse_evidence(content).version.number == 3


def test_a_retried_bump_puts_no_version_over_a_newer_one_that_it_was_not_compared_with(world):
    for _ in range(2):
        world.release(world.publish())
    late = world.publish(champion="toy@1")
    command = [sys.executable, "-m", "hera_workflows.steps.bump", "--model", "toy", "--number", "3"]
    command += ["--digest", late.digest, "--commit", world.source_commit, "--run", "push-1"]
    command += ["--env-repo", world.url, "--store", str(world.store.root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "which toy@3 was not compared with" in done.stderr) == (65, True)
    assert read(world.url).release(world.first, "toy").number == 2
