"""manifest.json has one spelling, so its digest names the version."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from slipway.errors import Rejected
from slipway.manifest import (
    DataSummary,
    FileEntry,
    Manifest,
    MetricValue,
    Validation,
    manifest_digest,
    parse_manifest,
    render_manifest,
)
from slipway.spec import ModelSpec
from slipway.verdict import Outcome


def manifest(**changes: object) -> Manifest:
    files = {"1/model.onnx": FileEntry(size=3, sha256="a" * 64)}
    values = {
        "name": "digits",
        "number": 1,
        "created": datetime(2026, 1, 2, tzinfo=UTC),
        "source_commit": "b" * 40,
        "operation_id": "push-1",
        "run": "push-1",
        "spec": ModelSpec(name="digits", task="multiclass-classification"),
        "data": DataSummary(digest="sha256:" + "c" * 64, counts={"train": 10, "test": 5}),
        "training": {"epochs": 3},
        "validation": Validation(
            outcome=Outcome.PASS, checks=[], metrics={"accuracy": MetricValue(value=0.9)}, files=files
        ),
        "tools": {"python": "3.11"},
        "files": files,
    }
    return Manifest.model_validate(values | changes)


def test_a_manifest_parses_back_to_the_same_bytes() -> None:
    content = render_manifest(manifest())
    assert render_manifest(parse_manifest(content)) == content


def test_another_number_is_another_digest() -> None:
    assert manifest_digest(render_manifest(manifest(number=2))) != manifest_digest(render_manifest(manifest()))


def test_a_metric_that_is_not_a_number_never_reaches_a_manifest() -> None:
    with pytest.raises(ValidationError):
        MetricValue(value=float("nan"))


def test_a_damaged_manifest_is_refused_with_its_place() -> None:
    with pytest.raises(Rejected, match=r"digits/1/manifest.json: number: .*; fetch the version again"):
        parse_manifest(render_manifest(manifest()).replace(b'"number": 1', b'"number": 0'), "digits/1/manifest.json")
