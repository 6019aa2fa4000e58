"""Each rule of the five verdicts, one fact a test."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from slipway.judge import judge, proven_above
from slipway.verdict import Verdict


def verdict_of(judgement, name):
    return next((c.verdict for c in judgement.checks if c.name == name), None)


def test_a_healthy_version_with_enough_requests_passes(seen, policy, now):
    assert judge(seen(), policy(), now).verdict is Verdict.PASS


def test_the_reason_carries_the_numbers_and_the_limit(seen, policy, now):
    judgement = judge(seen(requests=12_000, failures={"BACKEND": 48}), policy(), now)
    assert judgement.reason == "0.4 % errors in 12,000 requests (48 BACKEND); <= 0.1 % allowed"


def test_a_version_without_traffic_waits(seen, policy, now):
    judgement = judge(seen(requests=0), policy(), now)
    assert judgement.verdict is Verdict.INSUFFICIENT_DATA
    assert judgement.reason.startswith("0 requests; 500 needed")


def test_absent_counts_are_no_data(seen, policy, now):
    assert judge(seen(requests=None, failures=None), policy(), now).verdict is Verdict.NO_DATA


def test_absent_failure_counts_are_not_taken_for_zero_failures(seen, policy, now):
    assert judge(seen(failures=None), policy(), now).verdict is Verdict.NO_DATA


def test_a_measurement_that_failed_is_an_error(seen, policy, now):
    judgement = judge(seen(errors=["replay: 127.0.0.1:8001 does not answer"]), policy(), now)
    assert (judgement.verdict, judgement.reason) == (Verdict.ERROR, "replay: 127.0.0.1:8001 does not answer")


def test_not_ready_everywhere_is_waiting_not_failure(seen, policy, now):
    judgement = judge(seen(ready_replicas=1, ready_since=None, requests=None, failures=None), policy(), now)
    assert judgement.verdict is Verdict.INSUFFICIENT_DATA
    assert judgement.reason == "not ready yet: ready in 1 of 2 replicas"


def test_not_reconciled_is_waiting(seen, policy, now):
    assert judge(seen(reconciled=False, replicas=None), policy(), now).verdict is Verdict.INSUFFICIENT_DATA


def test_an_environment_without_a_replica_is_no_data(seen, policy, now):
    assert judge(seen(replicas=0, ready_replicas=0), policy(), now).verdict is Verdict.NO_DATA


def test_a_version_that_fails_in_the_replica_that_has_it_fails_before_the_others_are_ready(seen, policy, now):
    judgement = judge(seen(ready_replicas=1, requests=600, failures={"BACKEND": 300}), policy(), now)
    assert judgement.verdict is Verdict.FAIL


def test_the_soak_counts_from_ready_in_every_replica(seen, policy, now):
    judgement = judge(seen(ready_since=now - timedelta(minutes=9)), policy(), now)
    assert (judgement.verdict, judgement.reason) == (Verdict.INSUFFICIENT_DATA, "ready for 9m; 10m needed")


def test_a_clock_that_runs_behind_never_ends_a_soak(seen, policy, now):
    assert judge(seen(ready_since=now + timedelta(minutes=1)), policy(soak="0s"), now).verdict is not Verdict.PASS


def test_three_failures_in_ten_requests_fail_without_waiting_for_more(seen, policy, now):
    judgement = judge(seen(requests=10, failures={"BACKEND": 3}), policy(error_ratio="<= 0.001"), now)
    assert judgement.verdict is Verdict.FAIL


def test_one_failure_in_ten_requests_proves_nothing(seen, policy, now):
    judgement = judge(seen(requests=10, failures={"BACKEND": 1}), policy(error_ratio="<= 0.001"), now)
    assert judgement.verdict is Verdict.INSUFFICIENT_DATA


def test_where_no_failure_is_allowed_one_is_enough(seen, policy, now):
    judgement = judge(seen(requests=10, failures={"OTHER": 1}), policy(error_ratio="<= 0"), now)
    assert judgement.verdict is Verdict.FAIL


def test_a_ratio_above_the_limit_that_may_be_chance_says_what_would_settle_it(seen, policy, now):
    judgement = judge(seen(requests=600, failures={"BACKEND": 1}), policy(), now)
    assert judgement.verdict is Verdict.INSUFFICIENT_DATA
    assert judgement.reason.endswith("that may be chance: 400 more without an error would settle it")


def test_a_limit_that_no_number_of_requests_settles_is_judged_all_the_same(seen, policy, now):
    judgement = judge(seen(requests=1000, failures={"BACKEND": 1}), policy(error_ratio="<= 1e-320"), now)
    assert judgement.verdict is Verdict.INSUFFICIENT_DATA
    assert judgement.reason.endswith("but that may be chance")


def test_a_slow_version_fails_after_enough_requests(seen, policy, now):
    judgement = judge(seen(p95_ms=80.0), policy(p95_ms="<= 50"), now)
    assert (judgement.verdict, judgement.reason) == (Verdict.FAIL, "p95 80 ms; <= 50 ms allowed")


def test_a_slow_version_is_not_judged_on_its_first_requests(seen, policy, now):
    judgement = judge(seen(p95_ms=80.0, requests=20), policy(p95_ms="<= 50"), now)
    assert judgement.verdict is Verdict.INSUFFICIENT_DATA


def test_one_slow_request_after_a_quiet_hour_takes_nothing_out(seen, policy, now):
    judgement = judge(seen(p95_ms=80.0, p95_requests=1), policy(p95_ms="<= 50"), now)
    assert judgement.verdict is Verdict.INSUFFICIENT_DATA
    assert judgement.reason == "p95 80 ms; <= 50 ms allowed, but that is of 1 request; 500 needed"


def test_a_latency_that_was_asked_for_and_not_measured_is_no_data(seen, policy, now):
    assert judge(seen(p95_ms=None), policy(p95_ms="<= 50"), now).verdict is Verdict.NO_DATA


def test_a_latency_that_nobody_asked_for_is_not_judged(seen, policy, now):
    assert judge(seen(p95_ms=None), policy(), now).verdict is Verdict.PASS


def test_one_wrong_golden_answer_fails_at_once(seen, policy, now):
    replay = {"sent": 1, "failed": 0, "mismatched": 1}
    judgement = judge(seen(requests=1, replay=replay, ready_since=now), policy(replay=500), now)
    assert judgement.verdict is Verdict.FAIL
    assert judgement.reason == "1 of 1 golden requests were answered wrongly; none is allowed"


def test_a_replay_that_was_asked_for_and_not_sent_is_no_data(seen, policy, now):
    assert judge(seen(replay=None), policy(replay=500), now).verdict is Verdict.NO_DATA


def test_failures_that_only_the_client_sees_fail_the_version(seen, policy, now):
    replay = {"sent": 500, "failed": 40, "mismatched": 0}
    judgement = judge(seen(replay=replay), policy(replay=500), now)
    assert verdict_of(judgement, "replay") is Verdict.FAIL


@pytest.mark.parametrize("nonsense", [float("nan"), float("inf"), -1.0])
def test_nonsense_numbers_never_become_an_observation(seen, nonsense):
    with pytest.raises(ValidationError):
        seen(requests=nonsense)


def test_huge_counts_are_judged_without_overflow(seen, policy, now):
    assert judge(seen(requests=1e300, failures={"BACKEND": 1e299}), policy(), now).verdict is Verdict.FAIL


def test_the_early_failure_is_the_exact_binomial_test():
    from scipy.stats import binom

    for requests in (2, 10, 99, 500, 12_345):
        for limit in (0.0001, 0.001, 0.02, 0.5):
            for failures in range(2, min(requests, 60)):
                expected = binom.sf(failures - 1, requests, limit) < 0.001
                assert proven_above(failures, requests, limit) == expected, (failures, requests, limit)
