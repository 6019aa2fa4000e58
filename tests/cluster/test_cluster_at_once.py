"""Do promoters that run at once ask people once? The forge's and Argo's answers; slipway's own state is not asked."""

from __future__ import annotations

import json
import shutil
import urllib.parse
import urllib.request
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from gitops.bump import bump
from gitops.retire import retire
from slipway.operation import Operation
from slipway.spec import ModelSpec
from tests.cluster import buckets, install, team
from tests.cluster.asking import finished, until
from tests.cluster.journey import failures, note
from tests.triton_repo.triton_toys import again, golden, make_candidate, make_draft
from triton_repo.bundle import publish
from triton_repo.replay import replay
from triton_repo.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.journey import Journey
    from tests.cluster.kube import Kube
    from tests.cluster.place import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ENOUGH = 100  # requests


@pytest.fixture
def alone(kube: Kube) -> Iterator[None]:
    """No promoter is started by the clock."""
    patch = ["patch", "cronworkflow", "slipway-promote", "--namespace=slipway", "--type=merge", "--patch"]
    kube.run(*patch, json.dumps({"spec": {"suspend": True}}))
    yield
    kube.run(*patch, json.dumps({"spec": {"suspend": False}}))


@pytest.fixture
def waiting(
    place: Place, journey: Journey, about: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A model of which staging has served a version often enough; nobody trained it."""
    model = f"asked-{uuid.uuid4().hex[:8]}"
    for key, value in (("ACCESS_KEY_ID", "access_key"), ("SECRET_ACCESS_KEY", "secret_key")):
        monkeypatch.setenv(f"AWS_{key}", about["s3"][value])
    monkeypatch.setenv("AWS_ENDPOINT_URL", about["s3"]["endpoint"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("GIT_CREDENTIALS", str(place.path("install/credentials")))
    promotion = {"min_requests": ENOUGH, "soak": "0s"}
    spec = {"name": model, "task": "regression", "serving": {"max_batch": 8}, "promotion": promotion}
    candidate = make_candidate(tmp_path / "candidate", 1.0)
    draft = again(
        make_draft(candidate, model, model),
        spec=ModelSpec.model_validate(spec),
        source_commit=journey.push("Take a note to speak of", note(model)).commit,
    )
    version = publish(open_store(install.STORE), draft, candidate, place.path("install/signing.key"))
    url = team.url(team.ENVIRONMENTS)
    try:
        bump(url, version, Operation(f"bump/{version}", "bump", "staging", version, draft.source_commit))
        address = journey.ready("staging", model, version.number)
        seen = replay(f"{address}:8001", model, version.number, golden(1.0), count=2 * ENOUGH, tolerance=0)
        assert seen.failed == 0
        query = f'nv_inference_request_success{{environment="staging",model="{model}"}} > {ENOUGH}'
        until(lambda: _asked(about["prometheus"], query) or None, 60, query)
        yield model
    finally:
        retire(url, "staging", model, operation_id=f"retire/{model}")
        shutil.rmtree(place.path("s3", buckets.MODELS, model), ignore_errors=True)


def _asked(prometheus: str, query: str) -> list[Any]:
    url = f"{prometheus}/api/v1/query?query={urllib.parse.quote(query)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        found: list[Any] = json.load(answer)["data"]["result"]
    return found


def _first_pass(status: dict[str, Any]) -> tuple[str, str]:
    """When a workflow's promoter began and ended; where it was tried again, the first time."""
    pods = [one for one in status["nodes"].values() if one["type"] == "Pod" and one["templateName"] == "promote"]
    first = min(pods, key=lambda one: str(one["startedAt"]))
    return first["startedAt"], first["finishedAt"]


@pytest.mark.usefixtures("alone")
def test_three_promoters_at_once_open_one_request_and_comment_it_once(
    kube: Kube, journey: Journey, waiting: str
) -> None:
    names = [f"{waiting}-{letter}" for letter in "abc"]
    reference = {"workflowTemplateRef": {"name": "slipway-promote"}}
    kind = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow"}
    kube.apply([{**kind, "metadata": {"name": name, "namespace": "slipway"}, "spec": reference} for name in names])
    ended = [finished(kube, "slipway", name) for name in names]
    assert [status["phase"] for status in ended] == ["Succeeded"] * 3, [failures({"status": s}) for s in ended]
    begun, over = zip(*map(_first_pass, ended), strict=True)
    assert max(begun) < min(over)

    requests = f"/repos/{team.ENVIRONMENTS}/pulls?state=all&limit=50"
    branch = f"promote/production/{waiting}-1"
    found = [one for one in journey.ada.call("GET", requests) if one["head"]["label"] == branch]
    assert [one["state"] for one in found] == ["open"]
    comments = journey.ada.call("GET", f"/repos/{team.ENVIRONMENTS}/issues/{found[0]['number']}/comments")
    assert len(comments) == 1
