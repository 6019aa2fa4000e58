"""What may leave the store, and why the rest stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from triton_repo.retention import Decision, Stored, plan_removal

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def stored(number: int, age_days: float, model: str = "toy") -> Stored:
    return Stored(model, number, NOW - age_days * DAY)


def plan(*versions: Stored, **references: list[str]) -> dict[str, tuple[bool, str]]:
    named = {("toy", int(name[1:])): why for name, why in references.items()}
    return {f"{d.model}@{d.number}": (d.keep, d.reason) for d in plan_removal(versions, named, grace=DAY, now=NOW)}


def test_an_old_version_that_nobody_needs_is_removed() -> None:
    assert plan(stored(1, 9), stored(2, 8))["toy@1"] == (False, "no environment, history, hold or run needs it")


def test_the_newest_version_of_a_model_is_kept() -> None:
    assert plan(stored(1, 9), stored(2, 8))["toy@2"] == (True, "newest version of toy")


def test_a_young_version_is_kept() -> None:
    assert plan(stored(1, 0.5), stored(2, 0.4))["toy@1"] == (True, "younger than 1d")


def test_a_version_is_kept_for_each_reason_there_is() -> None:
    found = plan(stored(1, 9), stored(2, 8), v1=["served in staging", "held in production"])
    assert found["toy@1"] == (True, "served in staging; held in production")


def test_a_reference_to_another_models_version_keeps_nothing() -> None:
    decisions = plan_removal([stored(1, 9), stored(2, 8)], {("other", 1): ["served"]}, grace=DAY, now=NOW)
    assert decisions[0] == Decision("toy", 1, False, "no environment, history, hold or run needs it")


VERSIONS = st.lists(
    st.builds(
        stored,
        st.integers(1, 30),
        st.floats(0, 400),
        st.sampled_from(["toy", "digits"]),
    ),
    unique_by=lambda version: (version.model, version.number),
    max_size=20,
)
REFERENCES = st.dictionaries(
    st.tuples(st.sampled_from(["toy", "digits"]), st.integers(1, 30)),
    st.lists(st.just("served in staging"), min_size=1, max_size=2),
)


@given(VERSIONS, REFERENCES)
def test_whatever_is_referred_to_newest_or_young_is_never_removed(
    versions: list[Stored], references: dict[tuple[str, int], list[str]]
) -> None:
    newest = {v.model: max(w.number for w in versions if w.model == v.model) for v in versions}
    removed = {(d.model, d.number) for d in plan_removal(versions, references, grace=DAY, now=NOW) if not d.keep}
    for version in versions:
        if (version.model, version.number) in removed:
            assert (version.model, version.number) not in references
            assert version.number != newest[version.model]
            assert NOW - version.created >= DAY


@given(VERSIONS, REFERENCES)
def test_every_version_gets_one_decision_with_a_reason(
    versions: list[Stored], references: dict[tuple[str, int], list[str]]
) -> None:
    decisions = plan_removal(versions, references, grace=DAY, now=NOW)
    assert [(d.model, d.number) for d in decisions] == sorted((v.model, v.number) for v in versions)
    assert all(d.reason and "\n" not in d.reason for d in decisions)


@given(VERSIONS, REFERENCES)
def test_one_more_reference_never_removes_more(
    versions: list[Stored], references: dict[tuple[str, int], list[str]]
) -> None:
    def kept(named: dict[tuple[str, int], list[str]]) -> set[tuple[str, int]]:
        return {(d.model, d.number) for d in plan_removal(versions, named, grace=DAY, now=NOW) if d.keep}

    assert kept({}) <= kept(references)


@given(VERSIONS)
def test_removing_what_was_planned_leaves_nothing_more_to_remove(versions: list[Stored]) -> None:
    first = plan_removal(versions, {}, grace=DAY, now=NOW)
    left = {(d.model, d.number) for d in first if d.keep}
    again = plan_removal([v for v in versions if (v.model, v.number) in left], {}, grace=DAY, now=NOW)
    assert all(decision.keep for decision in again)
