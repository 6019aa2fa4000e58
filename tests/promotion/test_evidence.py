"""Evidence reads back to what it was made from, and the verdict follows from it again."""

from __future__ import annotations

import json

import pytest

from slipway.errors import Rejected
from slipway.evidence import bump_evidence, parse_evidence, promotion_evidence, recompute, render_evidence
from slipway.judge import judge
from slipway.verdict import Verdict
from slipway.version import ModelVersion

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def evidence(seen, manifest_of, now):
    manifest = manifest_of()
    observation = seen()
    return promotion_evidence(
        "promotion",
        judge(observation, manifest.spec.promotion, now),
        observation,
        manifest,
        target="production",
        previous=ModelVersion("digits", 2, DIGEST),
        source_env_commit="e" * 40,
        judged_at=now,
    )


def test_evidence_reads_back_to_itself(evidence):
    assert parse_evidence(render_evidence(evidence)) == evidence


def test_the_same_evidence_gives_the_same_bytes(evidence):
    assert render_evidence(evidence) == render_evidence(parse_evidence(render_evidence(evidence)))


def test_the_verdict_follows_from_the_evidence_alone(evidence):
    again = recompute(parse_evidence(render_evidence(evidence)))
    assert (again.verdict, list(again.checks)) == (evidence.verdict, evidence.checks)


def test_a_number_changed_in_the_evidence_changes_the_verdict(evidence):
    content = json.loads(render_evidence(evidence))
    content["observation"]["failures"] = {"BACKEND": 900}
    assert recompute(parse_evidence(json.dumps(content).encode())).verdict is Verdict.FAIL


def test_a_bump_is_explained_by_validation(manifest_of):
    parsed = parse_evidence(bump_evidence(ModelVersion("digits", 3, DIGEST), manifest_of(), "staging"))
    assert (parsed.kind, recompute(parsed).verdict) == ("validation", Verdict.PASS)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"kind": "promotion"}', b"\xff\xfe", b'{"kind": 3}'])
def test_nonsense_is_refused_and_the_place_named(content):
    with pytest.raises(Rejected, match=r"envs/x/evidence\.json: .+; revert the commit that edited it"):
        parse_evidence(content, "envs/x/evidence.json")


def test_not_a_number_in_the_evidence_is_refused(evidence):
    content = json.loads(render_evidence(evidence))
    content["observation"]["requests"] = float("nan")
    with pytest.raises(Rejected):
        parse_evidence(json.dumps(content).encode())
