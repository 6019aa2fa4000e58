"""What a pull request says to the person who decides."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.proposal import Links, escape, proposal
from slipway.evidence import ServedEvidence, ValidationSummary, VersionName
from slipway.judge import judge
from slipway.manifest import MetricValue
from slipway.observation import Observation, Replay
from slipway.operation import Operation
from slipway.spec import Promotion
from slipway.verdict import Check, Outcome, Verdict
from slipway.version import ModelVersion

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OPERATION = Operation(
    "promote/production/digits@5/aa", "promote", "production", source_commit="c" * 40, run="slipway-promote-x7"
)
HOSTILE = (
    "x | @team\n# `a` <img src=x> [b](javascript:c) https://evil.test www.evil.test #1 !2 ~3 $\\sin$ **d** |\n/close"
)


def _named(number: int) -> VersionName:
    return VersionName(name="digits", number=number, digest=f"sha256:{number:064x}")


def _evidence(**changes: Any) -> ServedEvidence:
    policy = Promotion.model_validate({"min_requests": 500, "soak": "10m", "p95_ms": "<= 50", "replay": 500})
    seen = Observation(
        environment="staging",
        model="digits",
        number=5,
        digest=_named(5).digest,
        observed_at=NOW,
        window_seconds=86400,
        reconciled=True,
        replicas=2,
        ready_replicas=2,
        ready_since=NOW - timedelta(minutes=25),
        requests=12345,
        failures={"REJECTED": 3},
        p95_ms=7.25,
        replay=Replay(sent=500, failed=0, mismatched=0, p95_ms=6.5),
    )
    judgement = judge(seen, policy, NOW)
    validation = ValidationSummary(
        outcome=Outcome.PASS,
        checks=[
            Check(
                name="accuracy",
                verdict=Verdict.PASS,
                reason="0.981; >= 0.95 demanded",
                value=0.981,
                threshold=">= 0.95",
            ),
            Check(
                name="slice writer=3",
                verdict=Verdict.PASS,
                reason="0.93; >= 0.9 demanded",
                value=0.93,
                threshold=">= 0.9",
            ),
        ],
        metrics={
            "accuracy": MetricValue(
                value=0.981, low=0.974, high=0.987, champion=0.972, difference_low=0.002, difference_high=0.016
            ),
            "f1_macro": MetricValue(value=0.9805),
        },
        champion="digits@3",
        report="digits/5/report.html",
    )
    values: dict[str, Any] = {
        "kind": "promotion",
        "version": _named(5),
        "judged_in": "staging",
        "target": "production",
        "previous": _named(3),
        "source_env_commit": "e" * 40,
        "judged_at": NOW,
        "policy": policy,
        "observation": seen,
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "checks": list(judgement.checks),
        "validation": validation,
    }
    return ServedEvidence(**{**values, **changes})


def _hostile() -> ServedEvidence:
    check = Check(name=HOSTILE, verdict=Verdict.PASS, reason=HOSTILE, threshold=HOSTILE)
    clean = _evidence()
    validation = clean.validation.model_copy(
        update={"metrics": {HOSTILE: MetricValue(value=1)}, "champion": HOSTILE, "report": "x", "checks": [check]}
    )
    return clean.model_copy(update={"reason": HOSTILE, "checks": [check], "validation": validation})


@pytest.mark.parametrize(
    ("name", "evidence", "links"),
    [
        (
            "proposal.md",
            _evidence(),
            Links(
                "https://argo.test/workflows/p5",
                "https://argo.test/artifact-files/p5",
                "https://argo.test/workflows/x7",
                "https://forge.test/commit/cc",
            ),
        ),
        ("proposal_first.md", _evidence(previous=None), Links()),
        (
            "proposal_behind.md",
            _evidence(previous=_named(2), previous_metrics={"accuracy": MetricValue(value=0.96, low=0.95, high=0.97)}),
            Links(),
        ),
        (
            "proposal_hostile.md",
            _hostile(),
            Links("javascript:alert(1)", "data:text/html,x", "https://x/) @team [", "ftp://x"),
        ),
    ],
)
def test_the_text_of_a_pull_request(name: str, evidence: ServedEvidence, links: Links):
    made = proposal(evidence, OPERATION, links)
    path = Path(__file__).parent / "golden" / name
    text = f"{made.title}\n\n{made.body}"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_the_verdict_stands_first():
    assert proposal(_evidence(), OPERATION).body.startswith("**PASS** in staging: ")


def test_the_same_evidence_gives_the_same_text():
    assert proposal(_evidence(), OPERATION) == proposal(_evidence(), OPERATION)


def test_a_thousand_checks_still_fit_into_a_pull_request():
    check = Check(name="slice " + "x" * 500, verdict=Verdict.PASS, reason="y" * 500, threshold=">= 0.9")
    body = proposal(_evidence(checks=[check] * 1000), OPERATION).body
    assert len(body) < 200 * 1000
    assert "| 900 more |" in body


def test_metrics_without_an_interval_are_folded_away():
    first, _, folded = proposal(_evidence(), OPERATION).body.partition("<summary>Other metrics (1)</summary>")
    assert ("| accuracy | 0.981 " in first, "| f1\\_macro | 0.9805 " in folded.partition("</details>")[0]) == (
        True,
        True,
    )


def test_what_did_not_pass_stands_before_what_did():
    checks = [
        Check(name="first", verdict=Verdict.PASS, reason="good"),
        Check(name="second", verdict=Verdict.FAIL, reason="bad"),
    ]
    body = proposal(_evidence(checks=checks), OPERATION).body
    assert body.index("second") < body.index("first")


@given(st.text())
def test_no_text_mentions_links_or_breaks_a_table(text: str):
    shown = escape(text)
    assert "\n" not in shown
    assert not re.search(r"(?<!\\)(\\\\)*[|`<>*_\[\]]", shown)
    assert not re.search(r"[@#!%~&](?=[\w\"])|://|www\.", unescape(shown), re.IGNORECASE)


def test_no_report_is_promised_that_cannot_be_opened():
    body = proposal(_evidence(), OPERATION, Links(training="https://argo.test/workflows/p5")).body
    assert "as validate left it" not in body
    assert "**Trained**: in [the workflow that trained it](https://argo.test/workflows/p5)" in body


def test_a_model_version_is_named_as_the_release_will_be():
    body = proposal(_evidence(), OPERATION).body
    assert f"-DIGEST={ModelVersion('digits', 3, _named(3).digest).digest}" in body
    assert f"+DIGEST={ModelVersion('digits', 5, _named(5).digest).digest}" in body
