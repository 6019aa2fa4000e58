"""report.html: self-contained, safe to open, and the verdict first."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from hera_workflows.learning import dataset
from hera_workflows.learning.champion import Champion
from hera_workflows.learning.inference import open_session, predict
from hera_workflows.learning.report import render_report
from hera_workflows.learning.serving_gate import Served
from hera_workflows.learning.tasks import load_task
from hera_workflows.learning.trained import Trained, read_trained
from hera_workflows.learning.validation import Judged, judge
from slipway.errors import Rejected
from slipway.spec import ModelSpec
from slipway.verdict import Check, Outcome, Verdict

EVIL = "<script>alert(1)</script>"
SERVED = Served([Check(name="serves", verdict=Verdict.PASS, reason="it serves")], {}, tuple(range(1, 40)), 38.0, 5000.0)


def judged(
    folder: Path, *, champion: float | None = None, spec: dict[str, object] | None = None
) -> tuple[Trained, Judged]:
    """The trained model judged, against a champion that is wrong on a share of the samples."""
    trained, test = read_trained(folder), dataset.read_split(folder / "test")
    if spec:
        trained = trained.model_copy(update={"spec": ModelSpec.model_validate(trained.spec.model_dump() | spec)})
    output = predict(open_session(folder / "model.onnx"), test.inputs)
    old = None
    if champion is not None:
        wrong = np.arange(len(output)) < champion * len(output)
        truth = np.eye(3, dtype="float32")[test.labels]
        old = Champion("clouds@3", "staging", np.where(wrong[:, None], np.roll(truth, 1, axis=1), truth))
    return trained, judge(trained, load_task("multiclass-classification"), test, output, old, SERVED)


class Page(HTMLParser):
    """Every tag, every attribute, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_first_version_says_that_there_is_nothing_to_compare_with(trained: Path):
    facts, result = judged(trained)
    assert result.validation.champion is None
    assert "the first version: the first environment serves none to compare with" in render_report(facts, result)


def test_the_verdict_and_its_reason_come_before_everything_else(trained: Path):
    facts, result = judged(trained, champion=0.0)
    assert result.validation.outcome is Outcome.FAIL
    text = " ".join(Page(render_report(facts, result)).text.split("Accuracy")[0].split())
    assert "Refused" in text
    assert "FAIL" in text


def test_the_page_asks_for_nothing_from_outside_and_runs_nothing(trained: Path):
    html = render_report(*judged(trained, champion=0.2))
    page = Page(html)
    assert not {"script", "link", "img", "iframe", "object", "embed", "image", "base", "form"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "data:" not in html
    # Addresses appear as names of XML vocabularies only, and references point into the page.
    assert all(name.startswith("xmlns") for name, value in page.attributes if value and "://" in value)
    assert all(value[:1] == "#" for name, value in page.attributes if name in ("href", "xlink:href", "src") and value)
    assert not re.search(r"url\((?!#)|@import", html)


def test_no_two_drawings_share_an_id(trained: Path):
    page = Page(render_report(*judged(trained, champion=0.2)))
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert page.tags.count("svg") > 2


def test_every_reference_in_a_drawing_finds_its_target(trained: Path):
    html = render_report(*judged(trained))
    ids = {value for name, value in Page(html).attributes if name == "id"}
    assert set(re.findall(r"url\(#([^)]+)\)", html)) <= ids
    assert {v[1:] for n, v in Page(html).attributes if n == "xlink:href" and v} <= ids


def test_names_from_outside_are_shown_and_never_run(trained: Path):
    facts, result = judged(trained, spec={"classes": [EVIL, "$x_1$", "a & b"]})
    facts = facts.model_copy(update={"training": {**facts.training, "device": EVIL}, "tools": {EVIL: EVIL}})
    result = replace(result, validation=result.validation.model_copy(update={"champion": EVIL}))
    html = render_report(facts, result)
    assert "script" not in Page(html).tags
    assert Page(html).text.count(EVIL) >= 4


def test_the_page_is_small(trained: Path):
    assert len(render_report(*judged(trained, champion=0.2)).encode()) < 1_000_000


def test_the_page_of_the_same_validation_is_the_same_bytes(trained: Path):
    given = judged(trained, champion=0.2)
    assert render_report(*given) == render_report(*given)


def test_judging_twice_gives_the_same_validation(trained: Path):
    assert judged(trained, champion=0.2)[1].validation == judged(trained, champion=0.2)[1].validation


def test_a_champion_that_cannot_be_compared_leaves_the_verdict_open(trained: Path):
    facts, test = read_trained(trained), dataset.read_split(trained / "test")
    output = predict(open_session(trained / "model.onnx"), test.inputs)
    old = Champion("clouds@3", "staging", None, "clouds@3 has other classes: they cannot be compared")
    result = judge(facts, load_task("multiclass-classification"), test, output, old, SERVED)
    assert result.validation.outcome is Outcome.INCONCLUSIVE
    assert "they cannot be compared" in render_report(facts, result)


def test_an_open_comparison_says_in_the_page_how_much_data_would_settle_it(trained: Path):
    wrong = 1 - judged(trained)[1].validation.metrics["accuracy"].value
    facts, result = judged(trained, champion=wrong - 0.01, spec={"gates": {"champion": {"margin": 0.0}}})
    assert result.validation.samples_to_settle is not None
    page = " ".join(Page(render_report(facts, result)).text.split())
    assert f"About {result.validation.samples_to_settle:,} test samples would settle it." in page


def test_answers_that_are_not_numbers_are_refused(trained: Path):
    facts, test = read_trained(trained), dataset.read_split(trained / "test")
    output = np.full((len(test), 3), np.nan, "float32")
    with pytest.raises(Rejected, match="NaN or infinite numbers"):
        judge(facts, load_task("multiclass-classification"), test, output, None, SERVED)


def test_metrics_carry_intervals_the_champion_and_the_difference(trained: Path):
    _, result = judged(trained, champion=0.2)
    accuracy = result.validation.metrics["accuracy"]
    assert accuracy.champion == pytest.approx(0.8)
    assert accuracy.low < accuracy.value < accuracy.high
    assert accuracy.difference_low < accuracy.value - accuracy.champion < accuracy.difference_high
