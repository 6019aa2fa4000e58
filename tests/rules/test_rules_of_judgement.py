"""What no measurement can change about verdicts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from slipway.judge import judge, proven_above
from slipway.observation import Observation, Replay
from slipway.promotion import Merge, Open, Rollback, Situation, Target, next_step
from slipway.spec import Promotion
from slipway.threshold import Threshold
from slipway.verdict import Outcome, Verdict
from slipway.version import ModelVersion

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
RANK = {Verdict.FAIL: 0, Verdict.ERROR: 1, Verdict.NO_DATA: 2, Verdict.INSUFFICIENT_DATA: 3, Verdict.PASS: 4}

counts = st.integers(0, 10**7)
maybe = st.one_of(st.none(), st.floats(0, 1e6))
limits = st.floats(0, 1).map(lambda value: Threshold("<=", value))
policies = st.builds(
    Promotion,
    min_requests=st.integers(1, 5000),
    soak=st.integers(0, 3600).map(lambda seconds: timedelta(seconds=seconds)),
    error_ratio=limits,
    p95_ms=st.one_of(st.none(), st.floats(0.1, 1e4).map(lambda value: Threshold("<=", value))),
    replay=st.integers(0, 500),
)
replays = st.one_of(
    st.none(),
    st.builds(Replay, sent=st.integers(0, 500), failed=st.integers(0, 500), mismatched=st.integers(0, 3)),
)
observations = st.builds(
    Observation,
    environment=st.just("staging"),
    model=st.just("digits"),
    number=st.just(3),
    digest=st.just(DIGEST),
    observed_at=st.just(NOW),
    window_seconds=st.just(900.0),
    reconciled=st.sampled_from([True, False, None]),
    replicas=st.one_of(st.none(), st.integers(0, 3)),
    ready_replicas=st.one_of(st.none(), st.integers(0, 3)),
    ready_since=st.one_of(st.none(), st.integers(-60, 7200).map(lambda s: NOW - timedelta(seconds=s))),
    requests=st.one_of(st.none(), counts.map(float)),
    failures=st.one_of(st.none(), st.dictionaries(st.sampled_from(["BACKEND", "OTHER"]), counts.map(float))),
    p95_ms=maybe,
    replay=replays,
    errors=st.lists(st.just("it did not answer"), max_size=1),
)


@given(observations, policies, st.integers(1, 1000))
def test_turning_successes_into_failures_never_improves_the_verdict(observation, policy, more):
    failures = observation.failures
    if failures is None or observation.requests is None or sum(failures.values()) + more > observation.requests:
        return
    worse = observation.model_copy(update={"failures": {**failures, "OTHER": failures.get("OTHER", 0) + more}})
    assert RANK[judge(worse, policy, NOW).verdict] <= RANK[judge(observation, policy, NOW).verdict]


@given(observations, policies, st.integers(1, 1000))
def test_more_failures_on_top_never_lift_a_failed_verdict(observation, policy, more):
    if observation.failures is None or observation.requests is None:
        return
    worse = observation.model_copy(
        update={
            "failures": {**observation.failures, "OTHER": observation.failures.get("OTHER", 0) + more},
            "requests": observation.requests + more,
        }
    )
    if judge(observation, policy, NOW).verdict is Verdict.FAIL:
        assert judge(worse, policy, NOW).verdict is Verdict.FAIL


@given(observations, policies)
def test_a_wrong_golden_answer_never_improves_the_verdict(observation, policy):
    if observation.replay is None:
        return
    worse = observation.replay.model_copy(
        update={"mismatched": observation.replay.mismatched + 1, "sent": observation.replay.sent + 1}
    )
    after = judge(observation.model_copy(update={"replay": worse}), policy, NOW).verdict
    assert not policy.replay or after is Verdict.FAIL


@given(observations, policies, st.sampled_from(["requests", "failures", "ready_since", "ready_replicas", "replicas"]))
def test_a_missing_measurement_never_passes(observation, policy, name):
    assert judge(observation.model_copy(update={name: None}), policy, NOW).verdict is not Verdict.PASS


@given(observations, policies)
def test_zero_requests_never_pass(observation, policy):
    silent = observation.model_copy(update={"requests": 0.0, "failures": {}})
    assert judge(silent, policy, NOW).verdict is not Verdict.PASS


@given(observations, policies)
def test_a_failed_measurement_never_passes(observation, policy):
    assert judge(observation.model_copy(update={"errors": ["down"]}), policy, NOW).verdict is not Verdict.PASS


@given(observations, policies)
def test_every_verdict_has_a_reason_of_one_line(observation, policy):
    reason = judge(observation, policy, NOW).reason
    assert reason
    assert "\n" not in reason


@given(st.integers(0, 10**6), st.integers(0, 10**15), st.floats(0, 1))
def test_proof_grows_with_failures(failures, others, limit):
    requests = failures + 1 + others
    assert not proven_above(failures, requests, limit) or proven_above(failures + 1, requests, limit)


targets = st.one_of(
    st.none(),
    st.builds(
        Target,
        environment=st.just("production"),
        accepts=st.sampled_from(["direct", "pull-request", "approval"]),
        serves=st.one_of(st.none(), st.integers(1, 5).map(lambda n: ModelVersion("digits", n, DIGEST))),
        hold=st.none(),
        freeze=st.none(),
        left=st.booleans(),
        request_open=st.booleans(),
    ),
)


@given(
    observations,
    policies,
    targets,
    st.sampled_from(Outcome),
    st.sampled_from(["automatic", "pull-request"]),
    st.booleans(),
)
def test_only_pass_promotes_and_only_fail_rolls_back(observation, policy, target, validation, approval, returned):
    judgement = judge(observation, policy, NOW)
    step = next_step(
        Situation(
            environment="staging",
            version=ModelVersion("digits", 3, DIGEST),
            policy=policy.model_copy(update={"approval": approval}),
            validation=validation,
            judgement=judgement,
            hold=None,
            target=target,
            returned=returned,
        )
    )
    if isinstance(step, Open | Merge):
        assert judgement.verdict is Verdict.PASS
    if isinstance(step, Merge):
        assert validation is Outcome.PASS
        assert target.accepts == "direct" or (target.accepts, approval) == ("pull-request", "automatic")
    assert isinstance(step, Rollback) == (judgement.verdict is Verdict.FAIL and not returned)
