"""What may whoever has the token of training's sidecar not report? People's code can get at it."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from slipway.errors import TryAgain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.kube import Kube

pytestmark = pytest.mark.slow

AS_TRAINING = "--as=system:serviceaccount:slipway:slipway-train-executor"
LOG = {"name": "main-logs", "s3": {"key": "run/node/main.log"}}
REPORT = {"name": "report", "s3": {"key": "run/node/report.html"}}
CHANGES = {"name": "changes", "value": "[]"}
ENDED = {"exitCode": "0", "artifacts": [LOG]}
MORE = [
    pytest.param({"parameters": [CHANGES]}, id="a parameter"),
    pytest.param({**ENDED, "parameters": [CHANGES]}, id="a parameter beside the log"),
    pytest.param({"result": "[]"}, id="a result"),
    pytest.param({"artifacts": [REPORT]}, id="a report"),
    pytest.param({"artifacts": [LOG, REPORT]}, id="a report beside the log"),
]


def result(name: str, outputs: dict[str, Any] | None) -> dict[str, Any]:
    said = {"outputs": outputs} if outputs is not None else {}
    metadata = {"name": name, "namespace": "slipway"}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTaskResult", "metadata": metadata, **said}


def create(kube: Kube, outputs: dict[str, Any] | None) -> str:
    """What the API server would answer to training's sidecar."""
    text = json.dumps(result(f"admission-{uuid.uuid4().hex[:8]}", outputs))
    return kube.run("create", "--validate=false", "-f", "-", "--dry-run=server", AS_TRAINING, text=text)


def patch(kube: Kube, name: str, outputs: dict[str, Any]) -> str:
    """The same of a patch. As server-side apply, for which kubectl need not get the object first."""
    words = ["--server-side", "--force-conflicts", "--validate=false", "-f", "-", "--dry-run=server", AS_TRAINING]
    return kube.run("apply", *words, text=json.dumps(result(name, outputs)))


@pytest.fixture
def there(kube: Kube, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a result with these outputs, which another step's sidecar has written."""
    name = f"admission-{uuid.uuid4().hex[:8]}"
    kube.run("create", "--validate=false", "-f", "-", text=json.dumps(result(name, request.param)))
    yield name
    kube.run("delete", "workflowtaskresult", name, "--namespace=slipway")


@pytest.mark.parametrize("outputs", [None, ENDED], ids=["nothing yet", "an end and a log"])
def test_training_may_report_its_end_and_its_log(kube: Kube, outputs: dict[str, Any] | None) -> None:
    assert "created" in create(kube, outputs)


@pytest.mark.parametrize("there", [None, ENDED], ids=["nothing yet", "an end and a log"], indirect=True)
def test_training_may_report_them_again(kube: Kube, there: str) -> None:
    assert "applied" in patch(kube, there, {**ENDED, "exitCode": "75"})


@pytest.mark.parametrize("outputs", MORE)
def test_training_may_report_nothing_that_another_step_is_made_of(kube: Kube, outputs: dict[str, Any]) -> None:
    with pytest.raises(TryAgain, match="may report an end and a log, and change no result with more in it"):
        create(kube, outputs)


@pytest.mark.parametrize("there", MORE, indirect=True)
def test_training_may_not_change_what_another_step_reported(kube: Kube, there: str) -> None:
    with pytest.raises(TryAgain, match="may report an end and a log, and change no result with more in it"):
        patch(kube, there, {"artifacts": [LOG]})
