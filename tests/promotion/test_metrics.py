"""What a real Prometheus makes of what Triton says, one fact a test."""

from __future__ import annotations

import re
import time
from datetime import timedelta

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.metrics import PrometheusMetrics
from gitops.promql import quote, selector, spans_of
from slipway.errors import Misconfigured

pytestmark = pytest.mark.slow

REASONS = ("BACKEND", "CANCELED", "OTHER", "REJECTED")


def triton(success: float, failures: dict[str, float] | None = None, p95: str = "Nan", version: int = 3) -> str:
    """What a Triton with digits@version says of it (the spelling is Triton's own)."""
    labels = f'model="digits",version="{version}"'
    lines = [f"nv_inference_request_success{{{labels}}} {success}"]
    for reason in REASONS:
        count = (failures or {}).get(reason, 0)
        lines.append(f'nv_inference_request_failure{{model="digits",reason="{reason}",version="{version}"}} {count}')
    lines.append(f'nv_inference_request_summary_us{{{labels},quantile="0.95"}} {p95}')
    lines.append(f'nv_inference_request_summary_us{{{labels},quantile="0.5"}} 1')
    return "\n".join(lines) + "\n"


@pytest.fixture
def measured(prometheus):
    """measured(environment) is what Prometheus knows of digits@3 there."""

    def ask(environment: str, number: int = 3, span: timedelta = timedelta(seconds=60), **more):
        with PrometheusMetrics(prometheus.url) as metrics:
            return metrics.measure(span=span, **more).of(environment, "digits", number)

    return ask


@pytest.fixture
def ready_for(prometheus):
    """ready_for(environment, span=…) is how many seconds digits@3 has been ready there, by Prometheus's clock."""

    def ask(environment: str, **more):
        with PrometheusMetrics(prometheus.url) as metrics:
            measurements = metrics.measure(**more)
        return (measurements.at - measurements.of(environment, "digits", 3).ready_since).total_seconds()

    return ask


@pytest.fixture
def watch(prometheus):
    """watch(text, …) is an environment whose servers say these texts, and its servers."""

    def start(*texts: str, serves: tuple[str, ...] = ()):
        environment, servers = prometheus.environment(len(texts), serves)
        for server, text in zip(servers, texts, strict=True):
            server.say(text)
        return environment, servers

    return start


def after(seconds: float):
    """A fact that comes true so many seconds from now."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def test_counts_are_exact_from_the_first_scrape_on(watch, measured):
    environment, _ = watch(triton(500, {"BACKEND": 2}))
    assert (measured(environment).requests, measured(environment).failures) == (502, {"BACKEND": 2})


def test_an_error_that_was_answered_is_a_failure_among_what_triton_calls_successes(watch, measured):
    answered = 'slipway_request_error{model="digits",reason="ERROR_RESPONSE",version="3"} 7\n'
    environment, _ = watch(triton(500, {"OTHER": 1}) + answered)
    seen = measured(environment)
    assert (seen.requests, seen.failures) == (501, {"OTHER": 1, "ERROR_RESPONSE": 7})


def test_counts_of_all_replicas_add_up(watch, measured):
    environment, _ = watch(triton(100, {"OTHER": 1}), triton(200))
    seen = measured(environment)
    assert (seen.requests, seen.failures, seen.replicas) == (301, {"OTHER": 1}, 2)


def test_requests_older_than_the_window_do_not_count(watch, measured, until):
    environment, [server] = watch(triton(1000))
    until(after(5))
    server.say(triton(1007))
    assert measured(environment, window=timedelta(seconds=5)).requests == 7


def test_a_counter_that_began_again_counts_from_zero(watch, measured):
    environment, [server] = watch(triton(1000))
    server.say("")
    server.say(triton(4))
    assert measured(environment).requests == 4


def test_a_counter_that_began_again_and_passed_what_it_was_counts_from_zero(watch, measured, until):
    environment, [server] = watch(triton(400))
    until(after(10))
    server.say(triton(5))
    server.say(triton(580, {"BACKEND": 3}))
    seen = measured(environment, window=timedelta(seconds=10))
    assert (seen.requests, seen.failures) == (583, {"BACKEND": 3})


def test_failures_of_a_server_that_began_again_count_from_zero_as_its_successes_do(watch, measured, until):
    environment, [server] = watch(triton(1000, {"BACKEND": 20}))
    until(after(10))
    server.say(triton(580, {"BACKEND": 20}))
    seen = measured(environment, window=timedelta(seconds=10))
    assert (seen.requests, seen.failures) == (600, {"BACKEND": 20})


def test_another_version_of_the_model_does_not_count(watch, measured):
    environment, _ = watch(triton(900, version=2) + triton(5, version=3))
    assert (measured(environment, 3).requests, measured(environment, 2).requests) == (5, 900)


def test_another_environment_does_not_count(watch, measured):
    environment, _ = watch(triton(1))
    watch(triton(70))
    assert measured(environment).requests == 1


def test_a_version_without_series_is_ready_nowhere_and_unmeasured(watch, measured):
    environment, _ = watch("")
    seen = measured(environment)
    assert (seen.replicas, seen.ready_replicas, seen.requests, seen.failures, seen.p95_ms) == (1, 0, None, None, None)


def test_an_environment_that_nobody_watches_is_unknown(measured):
    seen = measured("nowhere")
    assert (seen.replicas, seen.ready_replicas) == (None, None)


def test_a_version_in_one_of_two_replicas_is_not_ready(watch, measured):
    environment, _ = watch(triton(1), "")
    seen = measured(environment)
    assert (seen.replicas, seen.ready_replicas, seen.ready_since) == (2, 1, None)


def test_a_server_of_one_model_is_no_replica_of_the_others(watch, measured):
    environment, _ = watch(triton(1), "", serves=("digits", "sentiment"))
    assert measured(environment).replicas == 1


def test_readiness_counts_from_the_last_replica(watch, measured, until):
    environment, [_, late] = watch(triton(1), "")
    until(after(3))
    before = time.time()
    late.say(triton(0))
    assert measured(environment).ready_since.timestamp() >= before - 1


def test_readiness_begins_again_when_a_server_does(watch, measured, until):
    environment, [server] = watch(triton(1))
    server.say("")
    until(after(3))
    back = time.time()
    server.say(triton(0))
    assert measured(environment).ready_since.timestamp() >= back - 1


def test_a_fresh_version_has_not_soaked_however_coarse_the_steps(watch, measured):
    before = time.time()
    environment, _ = watch(triton(1))
    assert measured(environment, span=timedelta(hours=2)).ready_since.timestamp() >= before


def test_a_version_that_was_ready_before_the_span_is_dated_to_its_start(watch, ready_for, until):
    environment, _ = watch(triton(1))
    until(after(4))
    assert 0.5 < ready_for(environment, span=timedelta(seconds=1)) < 3


def test_a_span_of_a_month_hides_no_soak_of_seconds(watch, ready_for, until):
    environment, _ = watch(triton(1))
    until(after(4))
    assert 0.5 < ready_for(environment, span=timedelta(days=33), finer=[timedelta(seconds=1)]) < 3


def test_a_beginning_is_dated_as_exactly_as_the_finest_span_shows_it(watch, measured, until):
    before = time.time()
    environment, _ = watch(triton(1))
    until(after(4))
    seen = measured(environment, span=timedelta(days=33), finer=[timedelta(hours=1), timedelta(minutes=1)])
    assert before - 1 <= seen.ready_since.timestamp() <= time.time() - 3


@given(soak=st.timedeltas(timedelta(0), timedelta(days=30)))
def test_each_soak_is_told_to_a_thirteenth_of_it_or_a_second(soak):
    [span] = spans_of([soak])
    assert span >= soak * 1.1
    assert span / 60 <= max(timedelta(seconds=1), soak / 13)


def test_any_number_of_soaks_takes_few_spans():
    spans = spans_of(timedelta(minutes=minutes) for minutes in range(0, 30 * 24 * 60, 3))
    assert (len(spans), spans) == (9, sorted(spans))


def test_models_of_one_soak_take_one_span():
    assert (spans_of([timedelta(minutes=10)] * 100), spans_of([])) == ([timedelta(minutes=16)], [timedelta(minutes=1)])


def test_the_slowest_replica_speaks_for_latency(watch, measured):
    environment, _ = watch(triton(1, p95="4000"), triton(1, p95="9000"))
    assert measured(environment).p95_ms == 9


def test_latency_of_an_idle_server_is_no_data(watch, measured):
    environment, _ = watch(triton(1, p95="Nan"))
    assert measured(environment).p95_ms is None


def test_latency_just_before_the_server_fell_idle_still_speaks(watch, measured, until):
    environment, [server] = watch(triton(1, p95="4000"))
    # Looked back at in steps of 15 s, so it must have stood for one of them.
    until(after(16))
    server.say(triton(1, p95="Nan"))
    assert measured(environment).p95_ms == 4


@pytest.mark.parametrize("nonsense", ["NaN", "+Inf", "-Inf"])
def test_counts_that_are_no_numbers_are_no_data(watch, measured, nonsense):
    environment, _ = watch(triton(float("nan")).replace("nan", nonsense))
    assert measured(environment).requests is None


def test_a_failure_count_that_is_no_number_is_no_data(watch, measured):
    environment, _ = watch(triton(10, {"OTHER": float("nan")}))
    assert (measured(environment).requests, measured(environment).failures) == (None, None)


def test_two_series_for_one_version_and_server_are_a_wrong_setting(watch, measured):
    environment, _ = watch(triton(1) + triton(1).replace('model="digits"', 'model="digits",gpu="1"'))
    with pytest.raises(Misconfigured, match=f"several series for digits@3 of one server in {environment}"):
        measured(environment)


def test_two_series_for_one_reason_are_a_wrong_setting(watch, measured):
    extra = 'nv_inference_request_failure{gpu="1",model="digits",reason="OTHER",version="3"} 0\n'
    environment, _ = watch(triton(1) + extra)
    with pytest.raises(Misconfigured):
        measured(environment)


def test_one_doubled_version_does_not_hide_the_others(watch, measured):
    doubled = triton(1) + triton(1).replace('model="digits"', 'model="digits",gpu="1"')
    environment, _ = watch(doubled + triton(8, version=4))
    assert measured(environment, 4).requests == 8


def test_only_the_versions_that_were_asked_for_are_fetched(prometheus, watch):
    environment, _ = watch(triton(1))
    with PrometheusMetrics(prometheus.url) as metrics:
        measurements = metrics.measure(span=timedelta(minutes=1), only={"environment": environment})
    assert set(measurements.tables["successes"]) == {(environment, "digits", "3")}


def answered(url: str) -> int:
    """How many queries a Prometheus says that it has answered."""
    text = requests.get(f"{url}/metrics", timeout=10).text
    counts = re.findall(r'^prometheus_http_requests_total\{.*handler="/api/v1/query".*\} (\d+)$', text, re.MULTILINE)
    return sum(map(int, counts))


def test_many_models_take_no_more_queries_than_one(prometheus, watch):
    one, _ = watch(triton(1))
    many, _ = watch("".join(triton(1).replace("digits", f"digits-{n}") for n in range(100)))
    counts = []
    for environment, models in ((one, 1), (many, 100)):
        before = answered(prometheus.url)
        with PrometheusMetrics(prometheus.url) as metrics:
            measurements = metrics.measure(span=timedelta(minutes=1), only={"environment": environment})
        assert len(measurements.tables["successes"]) == models
        counts.append(answered(prometheus.url) - before)
    assert counts == [10, 10]


def test_every_moment_is_by_the_clock_of_prometheus(prometheus):
    with PrometheusMetrics(prometheus.url) as metrics:
        assert abs(metrics.measure(span=timedelta(minutes=1)).at.timestamp() - time.time()) < 5


@settings(max_examples=200, deadline=None)
@given(value=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_quoted_value_means_exactly_itself(prometheus, value):
    answer = requests.get(f"{prometheus.url}/api/v1/query", params={"query": quote(value)}, timeout=10).json()
    assert answer["data"]["result"][1] == value


@settings(max_examples=50, deadline=None)
@given(value=st.text(st.characters(exclude_categories=["Cs"])))
def test_no_label_value_changes_what_a_selector_selects(prometheus, value):
    query = f"count({selector('prometheus_build_info', {'job': value, 'version': value})}) or vector(-1)"
    answer = requests.get(f"{prometheus.url}/api/v1/query", params={"query": query}, timeout=10).json()
    assert [row["value"][1] for row in answer["data"]["result"]] == ["-1"]
