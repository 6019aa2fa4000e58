"""Values that the promotion tests start from; each test says only what it changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from slipway.manifest import DataSummary, Manifest, MetricValue, Validation
from slipway.observation import Observation
from slipway.spec import ModelSpec, Promotion
from slipway.verdict import Check, Outcome, Verdict

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def policy():
    """policy(min_requests=…) is a Promotion; the numbers left out are those of model.yaml's defaults."""
    return lambda **changes: Promotion.model_validate({"soak": "10m", "min_requests": 500, **changes})


@pytest.fixture
def seen():
    """seen(requests=…) is an Observation of a healthy version with what the test changes."""

    def build(**changes: Any) -> Observation:
        healthy: dict[str, Any] = {
            "environment": "staging",
            "model": "digits",
            "number": 3,
            "digest": DIGEST,
            "observed_at": NOW,
            "window_seconds": 900,
            "reconciled": True,
            "replicas": 2,
            "ready_replicas": 2,
            "ready_since": NOW - timedelta(minutes=15),
            "requests": 1200,
            "failures": {},
            "p95_ms": 12.0,
            "replay": None,
        }
        return Observation.model_validate({**healthy, **changes})

    return build


@pytest.fixture
def manifest_of():
    """manifest_of(promotion={…}, outcome=…) is the manifest of digits@3 with that policy and validation."""

    def build(*, number: int = 3, promotion: dict[str, Any] | None = None, outcome: Outcome = Outcome.PASS) -> Manifest:
        spec = ModelSpec.model_validate(
            {"name": "digits", "task": "multiclass-classification", "promotion": promotion or {}}
        )
        check = Check(name="accuracy", verdict=Verdict.PASS, reason="0.98; >= 0.95 needed", value=0.98)
        return Manifest(
            name="digits",
            number=number,
            created=NOW,
            source_commit="c" * 40,
            operation_id=f"publish-{number}",
            run="run-1",
            spec=spec,
            data=DataSummary(digest=DIGEST, counts={"test": 360}),
            training={"seconds": 3.0},
            validation=Validation(
                outcome=outcome, checks=[check], metrics={"accuracy": MetricValue(value=0.98)}, files={}
            ),
            tools={},
            files={},
        )

    return build
