"""Does a push go to production on its own, but for the one person who merges?

Every answer is the cluster's, the forge's, git's, the bucket's or Triton's; slipway's own state is not asked.
"""

from __future__ import annotations

import hashlib
import json
import re
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster import team
from tests.cluster.asking import until
from tests.cluster.browser import picture, pixels
from tests.cluster.journey import JUDGING, put
from triton_repo.replay import replay

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.journey import Journey, Push
    from tests.cluster.person import Person
    from triton_repo.replay import Protocol

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def pushed(journey: Journey) -> Push:
    """Ada has pushed the digits model, and its workflow has succeeded."""
    return journey.pushed("Train digits", put("digits"))


@pytest.fixture(scope="module")
def number(journey: Journey, pushed: Push) -> int:
    """The version that the push became."""
    released = journey.version("staging", "digits")
    assert released is not None
    return released


@pytest.fixture(scope="module")
def served(journey: Journey, number: int) -> str:
    """The address of the server in staging, which is ready with the pushed version."""
    return journey.ready("staging", "digits", number)


@pytest.fixture(scope="module")
def proposed(journey: Journey, served: str, number: int) -> dict[str, Any]:
    """The pull request that asks for the version in production."""
    return journey.requested("production", "digits", number)


@pytest.fixture(scope="module")
def merged(journey: Journey, proposed: dict[str, Any], number: int) -> str:
    """The address of the server in production, after Grace has merged."""
    journey.merge(proposed)
    return journey.ready("production", "digits", number)


def test_a_push_starts_one_workflow_that_is_named_after_it(journey: Journey, pushed: Push) -> None:
    listed = journey.kube.get("workflows", "--namespace=slipway") or {}
    names = [one["metadata"]["name"] for one in listed["items"]]
    assert [name for name in names if name.startswith(f"push-{pushed.commit[:12]}")] == [pushed.workflow]


def test_the_source_commit_leads_to_the_workflow_in_the_argo_ui(journey: Journey, person: Person, pushed: Push) -> None:
    status = journey.said(pushed.commit, "slipway") or {}
    assert status["target_url"] == f"{person.server}/workflows/slipway/{pushed.workflow}"
    _, answer = person.get(f"/api/v1/workflows/slipway/{pushed.workflow}")
    assert json.loads(answer)["metadata"]["name"] == pushed.workflow


def test_who_may_only_look_sees_the_report_as_it_was_published(
    journey: Journey, person: Person, pushed: Push, number: int, tmp_path: Path
) -> None:
    nodes = journey.ended(pushed)["status"]["nodes"]
    node = next(name for name, one in nodes.items() if one["type"] == "Pod" and one["templateName"] == "validate")
    page = f"/artifact-files/slipway/workflows/{pushed.workflow}/{node}/outputs/report"
    published = journey.place.folder / f"s3/models/digits/{number}/report.html"

    assert person.get(page)[1] == published.read_text()
    wanted = picture(published.as_uri(), tmp_path / "published.png")
    assert pixels(person.look(page, tmp_path / "shown.png")) == pixels(wanted)


def test_the_request_leads_to_that_report(
    journey: Journey, person: Person, proposed: dict[str, Any], number: int
) -> None:
    [page] = re.findall(rf"\({re.escape(person.server)}(/artifact-files/[^)]+)\)", proposed["body"])
    published = journey.place.folder / f"s3/models/digits/{number}/report.html"
    assert person.get(page)[1] == published.read_text()


def test_its_one_comment_leads_to_the_workflow_that_asked(
    journey: Journey, person: Person, proposed: dict[str, Any]
) -> None:
    def said() -> list[str] | None:
        where = f"/repos/{team.ENVIRONMENTS}/issues/{proposed['number']}/comments"
        return [one["body"] for one in journey.ada.call("GET", where)] or None

    [comment] = until(said, JUDGING, "the request has its comment")
    [page] = re.findall(rf"\({re.escape(person.server)}/workflows/(slipway/[^)]*promote-[^)]+)\)", comment)
    assert json.loads(person.get(f"/api/v1/workflows/{page}")[1])["metadata"]["name"] == page.removeprefix("slipway/")


def test_the_release_in_staging_is_what_the_bucket_holds(journey: Journey, number: int) -> None:
    manifest = journey.place.folder / f"s3/models/digits/{number}/manifest.json"
    release = journey.release("staging", "digits") or {}
    assert release["DIGEST"] == f"sha256:{hashlib.sha256(manifest.read_bytes()).hexdigest()}"


def test_staging_answers_as_the_model_did_in_training(journey: Journey, served: str, number: int) -> None:
    seen = replay(f"{served}:8001", "digits", number, journey.golden("digits", number), count=64, tolerance=1e-3)
    assert (seen.failed, seen.mismatched) == (0, 0)


def test_prometheus_has_the_version_once_by_environment(served: str, number: int, about: dict[str, Any]) -> None:
    query = f'nv_inference_request_success{{environment="staging",model="digits",version="{number}"}}'

    def asked() -> list[dict[str, Any]] | None:
        url = f"{about['prometheus']}/api/v1/query?query={urllib.parse.quote(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]["result"] or None

    assert len(until(asked, 30, query)) == 1


def test_only_who_may_approve_can_merge_the_request(journey: Journey, proposed: dict[str, Any]) -> None:
    where = f"/repos/{team.ENVIRONMENTS}/pulls/{proposed['number']}/merge"
    merge = {"Do": "merge", "head_commit_id": proposed["head"]["sha"]}
    assert journey.ada.call("POST", where, merge, accept=(405,)) == 405


@pytest.mark.parametrize(("protocol", "port"), [("http", 8000), ("grpc", 8001)])
def test_production_answers_with_the_version_that_was_merged(
    journey: Journey, merged: str, number: int, protocol: Protocol, port: int
) -> None:
    golden = journey.golden("digits", number)
    seen = replay(f"{merged}:{port}", "digits", number, golden, count=64, tolerance=1e-3, protocol=protocol)
    assert (seen.failed, seen.mismatched) == (0, 0)


def test_the_source_commit_says_that_the_model_is_in_production(journey: Journey, merged: str, pushed: Push) -> None:
    def said() -> str | None:
        status = journey.said(pushed.commit, "slipway/digits")
        return status["description"] if status and "production" in status["description"] else None

    assert until(said, JUDGING, "the source commit's status names production")
