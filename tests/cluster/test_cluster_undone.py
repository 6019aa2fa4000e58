"""Is a release that turns out bad undone by a commit, by the promoter or by a person, and does it stay undone?

Every answer is the cluster's, the forge's, git's or Triton's; slipway's own state is not asked.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from hera_workflows.platform.clients import busy
from hera_workflows.platform.demo import BRITTLE
from slipway.operation import Operation, parse_message
from tests.cluster.asking import finished, until
from tests.cluster.journey import JUDGING, failures, put
from triton_repo.replay import replay

if TYPE_CHECKING:
    from tests.cluster.journey import Brought, Journey, Push

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

MODEL = "digits"
CLIENTS, PAUSE = 4, 0.05  # one of the four overexposes its pictures; seconds between two of a client's pictures
# bench/cluster.py has the aim of 30 s. Argo CD forgets a push of which it hears while it compares the one before, and
# looks again by itself after a minute.
BACK = 120


@dataclass(frozen=True, slots=True)
class Undone:
    """A push that came into an environment and was taken out again."""

    push: Push
    number: int  # of the version that it became
    operation: Operation  # of the commit that took it out


@pytest.fixture(scope="module")
def before(journey: Journey) -> int:
    """A version that production serves."""
    return journey.version("production", MODEL) or journey.brought(MODEL).number


@pytest.fixture(scope="module")
def good(journey: Journey, before: int) -> Brought:
    """A newer version, which staging and production serve."""
    brought = journey.brought(MODEL)
    assert brought.number > before
    return brought


@pytest.fixture(scope="module")
def failed(journey: Journey, good: Brought) -> Undone:
    """Ada pushed a model that answers overexposed pictures with errors, and staging, with its clients, has left it."""
    with busy(f"{journey.ready('staging', MODEL, good.number)}:8001", MODEL, CLIENTS, PAUSE):
        push = journey.pushed("Learn what each level of ink is worth", put(MODEL, *BRITTLE[1:]))
        bump, released = _recorded(journey, push.commit, "bump")
        assert released.version is not None
        number = released.version.number
        what = f"{MODEL}@{number} is not released to staging any more"
        until(lambda: journey.version("staging", MODEL) != number or None, JUDGING, what, every=1)
    found = [operation for _, message in journey.log() if (operation := parse_message(message)) is not None]
    return Undone(push, number, next(operation for operation in found if operation.rollback_of == bump))


@pytest.fixture(scope="module")
def reverted(journey: Journey, before: int, good: Brought) -> float:
    """Grace reverted the merge of the newer version; the seconds until production was ready with the one before."""
    journey.merge(journey.revert(good.merge))
    begun = time.monotonic()
    journey.ready("production", MODEL, before)
    return time.monotonic() - begun


def test_a_model_that_fails_its_clients_in_staging_is_rolled_back_by_a_commit(
    journey: Journey, failed: Undone, good: Brought
) -> None:
    undone = failed.operation
    assert (undone.action, undone.environment, undone.verdict) == ("rollback", "staging", "FAIL")
    assert undone.version is not None
    assert undone.version.number == good.number
    assert journey.version("staging", MODEL) == good.number


def test_after_the_rollback_staging_answers_with_the_old_version_and_not_with_the_bad_one(
    journey: Journey, failed: Undone, good: Brought
) -> None:
    address = journey.ready("staging", MODEL, good.number)
    seen = replay(f"{address}:8001", MODEL, good.number, journey.golden(MODEL, good.number), count=64, tolerance=1e-3)
    assert (seen.failed, seen.mismatched) == (0, 0)
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://{address}:8000/v2/models/{MODEL}/versions/{failed.number}/ready", timeout=10)


def test_a_version_that_failed_in_staging_reaches_no_production(
    journey: Journey, failed: Undone, good: Brought
) -> None:
    gone = f"no request asks for {MODEL}@{failed.number} in production"
    until(lambda: journey.request("production", MODEL, failed.number) is None or None, JUDGING, gone)
    assert journey.version("production", MODEL) == good.number
    assert journey.ready("production", MODEL, good.number)


def test_the_source_commit_says_that_its_model_was_rolled_back_and_why(journey: Journey, failed: Undone) -> None:
    def said() -> str | None:
        status = journey.said(failed.push.commit, f"slipway/{MODEL}")
        return status["description"] if status and status["status"] == "failure" else None

    text = until(said, JUDGING, "the source commit's status is a failure")
    assert text.startswith("rolled back in staging: ")
    assert "% errors in" in text


def test_the_promoter_leaves_a_held_version_alone(journey: Journey, failed: Undone) -> None:
    held = json.loads(journey.file(f"envs/staging/{MODEL}/holds/{failed.number}.json") or "{}")
    assert held["number"] == failed.number
    tip = journey.log()[0]
    journey.judged(passes=2)
    assert journey.log()[0] == tip
    assert journey.request("production", MODEL, failed.number) is None


def test_a_held_version_is_not_released_again(journey: Journey, failed: Undone) -> None:
    tip = journey.log()[0]
    ended = _bump_again(journey, failed)
    assert ended["phase"] == "Failed"
    assert f"{MODEL}@{failed.number} is on hold in staging" in failures({"status": ended})
    assert journey.log()[0] == tip


def test_a_revert_of_a_release_brings_the_version_before_back_to_production(
    journey: Journey, reverted: float, before: int
) -> None:
    print(f"merge of the revert → READY with the version before: {reverted:.1f} s")
    assert journey.version("production", MODEL) == before
    address = journey.ready("production", MODEL, before)
    golden = journey.golden(MODEL, before)
    seen = replay(f"{address}:8000", MODEL, before, golden, count=64, tolerance=1e-3, protocol="http")
    assert (seen.failed, seen.mismatched) == (0, 0)
    assert reverted < BACK


@pytest.mark.usefixtures("reverted")
def test_what_a_person_reverted_is_not_proposed_again(journey: Journey, good: Brought) -> None:
    tip = journey.log()[0]
    journey.judged(passes=2)
    assert journey.log()[0] == tip
    assert journey.request("production", MODEL, good.number) is None
    assert journey.version("staging", MODEL) == good.number


def _recorded(journey: Journey, source: str, action: str) -> tuple[str, Operation]:
    """The commit that did this with the model of a source commit, and what it says of it."""
    return next(
        (commit, found)
        for commit, message in journey.log()
        if (found := parse_message(message)) is not None and (found.source_commit, found.action) == (source, action)
    )


def _bump_again(journey: Journey, failed: Undone) -> dict[str, Any]:
    """The status of a workflow that is the push's last step alone, for the same version."""
    bad = _recorded(journey, failed.push.commit, "bump")[1].version
    assert bad is not None
    name = f"again-{failed.push.commit[:12]}"
    given = {
        "before": failed.push.before,
        "after": failed.push.commit,
        "commit": failed.push.commit,
        "model": MODEL,
        "number": str(bad.number),
        "digest": bad.digest,
    }
    arguments = {"parameters": [{"name": key, "value": value} for key, value in given.items()]}
    spec = {"workflowTemplateRef": {"name": "slipway-push"}, "entrypoint": "bump", "arguments": arguments}
    metadata = {"name": name, "namespace": "slipway"}
    journey.kube.apply([{"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "spec": spec}])
    return finished(journey.kube, "slipway", name)
