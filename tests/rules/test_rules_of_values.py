"""Thresholds, durations and environments mean one thing however they are written."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from slipway.duration import Duration, format_duration, parse_duration
from slipway.environments import Environments, Freeze
from slipway.spec import Promotion
from slipway.threshold import Bound, Threshold, parse_threshold

finite = st.floats(allow_nan=False, allow_infinity=False)
names = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
moments = st.datetimes(timezones=st.timezones(), min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1))


@given(st.sampled_from([">=", "<="]), finite)
def test_a_threshold_reads_back_to_itself(comparison, value):
    bound = TypeAdapter(Bound)
    threshold = Threshold(comparison, value)
    assert bound.validate_json(bound.dump_json(threshold)) == threshold


@given(st.sampled_from([">=", "<="]), finite)
def test_the_limit_itself_passes(comparison, value):
    assert Threshold(comparison, value).met_by(value)


@given(st.sampled_from([">=", "<="]), finite, st.sampled_from([math.nan, math.inf, -math.inf]))
def test_what_is_not_a_number_never_passes(comparison, value, nonsense):
    assert not Threshold(comparison, value).met_by(nonsense)


@given(st.text(max_size=20))
def test_any_text_is_a_threshold_or_refused(text):
    try:
        threshold = parse_threshold(text)
    except ValueError:
        return
    assert math.isfinite(threshold.value)


@given(st.integers(0, 99_999 * 86_400))
def test_a_duration_reads_back_to_itself(seconds):
    duration = TypeAdapter(Duration)
    value = timedelta(seconds=seconds)
    assert duration.validate_json(duration.dump_json(value)) == value


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_refused(text):
    try:
        value = parse_duration(text)
    except ValueError:
        return
    assert parse_duration(format_duration(value)) == value


@given(st.lists(names, min_size=1, max_size=6, unique=True))
def test_in_a_chain_every_environment_but_the_last_has_one_follower(chain):
    listed = [{"name": name, "after": before} for name, before in zip(chain, [None, *chain[:-1]], strict=True)]
    environments = Environments.model_validate({"environments": listed})
    assert environments.first.name == chain[0]
    assert [[e.name for e in environments.following(name)] for name in chain] == [[name] for name in chain[1:]] + [[]]


@given(st.lists(names, min_size=2, max_size=6, unique=True))
def test_an_environment_after_one_that_is_not_listed_above_it_is_refused(chain):
    listed = [{"name": name, "after": after} for name, after in zip(chain, [*chain[1:], None], strict=True)]
    with pytest.raises(ValidationError, match="list environments in the order of promotion"):
        Environments.model_validate({"environments": listed})


@given(moments, moments, moments)
def test_a_freeze_covers_its_start_and_not_its_end(start, until, now):
    freeze = Freeze(start=start, until=until, reason="holidays")
    assert freeze.covers(now) == (start <= now < until)


@pytest.mark.parametrize("field", ["error_ratio", "p95_ms"])
def test_a_policy_that_asks_for_bad_service_is_refused(field):
    with pytest.raises(ValidationError, match='would ask for bad service; write "<= 5"'):
        Promotion.model_validate({field: ">= 5"})
