"""model.yaml: what is read from it, and how each mistake is pointed at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hera_workflows.learning.tasks import load_task, task_names
from hera_workflows.models import read_spec, schema
from hera_workflows.yaml_marks import parse_marked
from slipway.errors import Rejected

GOOD = "name: digits\ntask: multiclass-classification\n"


def problems(text: str | bytes) -> list[str]:
    try:
        read_spec(text, "model.yaml")
    except Rejected as error:
        return str(error).splitlines()
    return []


def test_name_and_task_are_enough():
    spec = read_spec(GOOD, "model.yaml")
    assert (spec.name, spec.task) == ("digits", "multiclass-classification")


def test_a_word_like_off_is_text_and_not_false():
    assert read_spec(GOOD + "promotion: {rollback: off}", "model.yaml").promotion.rollback == "off"


@pytest.mark.parametrize(("text", "value"), [("1_000", 1000), ("-7", -7), ("1_", "1_"), ("1__0", "1__0")])
def test_an_underscore_belongs_to_a_number_only_between_two_digits(text: str, value: object):
    assert parse_marked(f"a: {text}").value == {"a": value}


def test_every_error_is_listed_not_only_the_first():
    text = "name: Digits\ntask: regresion\ntrian: {}\ntrain: {gpu: 1}\n"
    assert [line.split(": ")[0] for line in problems(text)] == [
        "model.yaml:1:7",
        "model.yaml:2:7",
        "model.yaml:3:1",
        "model.yaml:4:9",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD + "trian: {}", "model.yaml:3:1: unknown key 'trian'; did you mean train?"),
        (GOOD + "train:\n  gpu: 1", "model.yaml:4:3: unknown key 'gpu'; did you mean gpus?"),
        (GOOD + "train: {node_selector: {gpu: 4}}", "model.yaml:3:30: gpu: 4 is not text; put it in quotes"),
        (GOOD + "train: {tolerations: [{ky: a}]}", "model.yaml:3:24: unknown key 'ky'; did you mean key?"),
        (GOOD + "train: {tolerations: [{key: a, operator: Exists, value: b}]}", "model.yaml:3:23: operator Exists takes no value, and 'b' is given; remove one of them"),  # noqa: E501
        ("name: a\ntask: regresion", "model.yaml:2:7: task: 'regresion' is unknown; did you mean regression?"),
        ("task: regression", "model.yaml:1:1: name is missing; add `name: …`"),
        (GOOD + "train: {gpus: two}", "model.yaml:3:15: gpus: 'two' is not a whole number; write digits only"),
        (GOOD + "name: again", "model.yaml:3:1: 'name' stands already in line 1; keep one of them"),
        (GOOD + "train: {timeout: 5x}", "model.yaml:3:18: '5x' is not a duration; write it as 90s, 10m, 1h30m or 2d"),
        (GOOD + "train: {timeout: 99999d}", "model.yaml:3:18: 99999d is no limit for a training; write one from 1s to 30d, such as 6h"),  # noqa: E501
        (GOOD + "train: {timeout: 0s}", "model.yaml:3:18: 0s is no limit for a training; write one from 1s to 30d, such as 6h"),  # noqa: E501
        (GOOD + "promotion: {soak: 30d1s}", "model.yaml:3:19: 30d1s is no soak; write one from 0s to 30d, such as 10m"),
        (GOOD + "train: {params: {lr: .nan}}", "model.yaml:3:22: .nan is not a finite number; write an ordinary number"),  # noqa: E501
        (GOOD + "train: {params: {lr: [1]}}", "model.yaml:3:22: lr: [1] is not a plain value; write a number, text or true"),  # noqa: E501
        (GOOD + "gates: {accuracy: 0.9}", 'model.yaml:3:19: 0.9 is not a threshold; write it as ">= 0.95" or "<= 40"'),
        (GOOD + 'promotion: {error_ratio: "<= 5"}', 'model.yaml:3:26: "<= 5" is no share of the requests; write one from 0 to 1, such as "<= 0.001"'),  # noqa: E501
        (GOOD + 'promotion: {error_ratio: "<= -0.1"}', 'model.yaml:3:26: "<= -0.1" is no share of the requests; write one from 0 to 1, such as "<= 0.001"'),  # noqa: E501
        (GOOD + 'promotion: {error_ratio: "<= nan"}', "model.yaml:3:26: '<= nan' is not a threshold; write it as \">= 0.95\" or \"<= 40\""),  # noqa: E501
        (GOOD + 'promotion: {p95_ms: "<= 0"}', 'model.yaml:3:21: "<= 0" leaves an answer no time; write milliseconds above 0, such as "<= 50"'),  # noqa: E501
        (GOOD + 'serving: {p95_ms: "<= -5"}', 'model.yaml:3:19: "<= -5" leaves an answer no time; write milliseconds above 0, such as "<= 50"'),  # noqa: E501
        (GOOD + 'serving: {p95_ms: ">= 5"}', 'model.yaml:3:19: ">= 5" would ask for bad service; write "<= 5"'),
        (GOOD + "promotion: {replay: -1}", "model.yaml:3:21: replay: -1: input should be greater than or equal to 0; choose a value in that range"),  # noqa: E501
        (GOOD + "promotion: {min_requests: 0}", "model.yaml:3:27: min_requests: 0: input should be greater than or equal to 1; choose a value in that range"),  # noqa: E501
        (GOOD + "gates: {champion: {margin: -0.1}}", "model.yaml:3:28: margin: -0.1: input should be greater than or equal to 0; choose a value in that range"),  # noqa: E501
        (GOOD + "gates: {champion: {margin: 1}}", "model.yaml:3:28: margin: 1 allows any loss of a metric between 0 and 1; write a share such as 0.01"),  # noqa: E501
        (GOOD + 'gates: {accuracy: ">= 95"}', "model.yaml:3:19: accuracy lies between 0 and 1, so '>= 95' decides nothing; write a share such as >= 0.95"),  # noqa: E501
        (GOOD + 'gates: {slices: {writer: ">= 90"}}', "model.yaml:3:26: accuracy lies between 0 and 1, so '>= 90' decides nothing; write a share such as >= 0.95"),  # noqa: E501
        (GOOD + "promotion: {approval: auto}", "model.yaml:3:23: approval: 'auto' is not a choice; write pull-request or automatic"),  # noqa: E501
        (GOOD + "classes: [a, b, a]", "model.yaml:3:17: class 'a' is listed twice; keep one"),
        (GOOD + "classes: [a]", "model.yaml:3:10: 1 classes; list at least two, in the order of their number"),
        ("name: a\ntask: regression\nclasses: [a, b]", "model.yaml:3:10: a regression has no classes; remove `classes`"),  # noqa: E501
        ("name: source\ntask: regression", "model.yaml:1:7: name: 'source' is taken: a run keeps the pushed files under it; choose another name"),  # noqa: E501
        ("- a", "model.yaml:1:1: not a mapping; write `name: …`, `task: …` line by line"),
        ("", "model.yaml:1:1: the file is empty; write `name: …` and `task: …`"),
        (GOOD + "train:\n\tgpus: 1", "model.yaml:4:1: a tab stands where YAML wants spaces; indent with spaces"),
        (GOOD + "---\nname: b", "model.yaml:3:1: a second document begins here; keep one document in the file"),
        (GOOD + "a: &x 1\nb: *x", "model.yaml:3:4: anchors and aliases are not taken; write the value out"),
        (GOOD + "x: !!python/object:os.system ls", "model.yaml:3:4: the tag 'tag:yaml.org,2002:python/object:os.system' is not taken; write the plain value"),  # noqa: E501
        (b"name: a\nt: \xff", "model.yaml:2:4: byte 0xff is not UTF-8; save it as UTF-8"),
        (GOOD + "x: " + "[" * 30, "model.yaml:3:23: nested more than 20 deep; make it flatter"),
        ("#" * 1_000_001, "model.yaml:1:1: 1000001 bytes of YAML; keep it under 1000000"),
    ],
)  # fmt: skip
def test_a_mistake_is_pointed_at_with_what_to_write_instead(text: str | bytes, expected: str):
    assert expected in problems(text)


@pytest.mark.parametrize(
    "name", ["../digits", "a/b", "a" * 64, "x" * 300, "dıgits", "digıts", "-a", "a..b", "a b", ".git"]
)
def test_a_name_that_could_be_a_path_a_ref_or_a_look_alike_is_refused(name: str):
    found = problems(f"name: {name}\ntask: regression")
    assert len(found) == 1
    assert found[0].startswith("model.yaml:1:7: name: ")
    assert "use 1 to 63 of a-z, 0-9, _ and -" in found[0]


def test_a_look_alike_is_shown_by_its_number():
    (found,) = problems("name: dіgits\ntask: regression")  # a Cyrillic і
    assert "name: 'd\\u0456gits' has characters" in found


def test_an_unknown_metric_is_answered_with_the_metrics_of_the_task():
    (found,) = problems(GOOD + 'gates: {acuracy: ">= 0.9"}')
    assert (
        "'acuracy' is not a metric of multiclass-classification; did you mean accuracy? write one of accuracy, "
        in found
    )


def test_a_gate_may_name_one_class():
    assert problems(GOOD + 'classes: [cat, dog]\ngates:\n  recall[cat]: ">= 0.9"') == []


def test_a_gate_on_an_unknown_class_is_answered_with_the_nearest_class():
    (found,) = problems(GOOD + 'classes: [cat, dog]\ngates:\n  recall[cta]: ">= 0.9"')
    assert found == "model.yaml:5:3: 'recall[cta]': no class 'cta'; did you mean cat?"


@pytest.mark.parametrize("metric", ["f1[cat]", "f1[-1]", "f1[01]", "f1[]"])
def test_without_classes_a_gate_on_one_class_names_it_by_its_number(metric: str):
    (found,) = problems(GOOD + f"gates:\n  champion: {{metric: '{metric}'}}")
    number = metric[3:-1]
    assert found == (
        f"model.yaml:4:22: '{metric}': no class '{number}'; list the names in `classes`, or write a number from 0"
    )


def test_without_classes_a_gate_may_name_a_number():
    assert problems(GOOD + "gates: {champion: {metric: 'f1[10]'}}") == []


def test_a_limit_that_asks_for_a_bad_model_is_refused():
    (found,) = problems(GOOD + 'gates: {accuracy: "<= 0.9"}')
    assert found == "model.yaml:3:19: accuracy is better when higher, so '<= 0.9' asks for a bad model; write >="


@pytest.mark.parametrize(
    "text",
    [
        "promotion: {error_ratio: '<= 1'}",
        "promotion: {error_ratio: '<= 0'}",
        "promotion: {soak: 0s}",
        "promotion: {soak: 30d}",
        "gates: {accuracy: '>= 1'}",
    ],
)
def test_the_ends_of_a_range_belong_to_it(text: str):
    assert problems(GOOD + text) == []


def test_an_error_of_a_regression_may_be_above_one():
    text = "name: a\ntask: regression\ngates: {mean_absolute_error: '<= 40', champion: {margin: 3}}"
    assert problems(text) == []


def test_the_largest_error_cannot_be_the_champion_metric():
    text = "name: a\ntask: regression\ngates: {champion: {metric: max_absolute_error}}"
    assert "is not a metric of regression" in problems(text)[0]


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda t: t.encode(errors="surrogatepass")))
def test_whatever_the_bytes_only_rejected_is_raised(content: bytes):
    problems(content)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=6), x, max_size=3), max_leaves=12))  # fmt: skip # noqa: E501
def test_json_is_read_as_the_value_that_it_is(value: object):
    # JSON is YAML, but for characters that YAML forbids and escapes of half characters.
    marked = parse_marked(json.dumps(value))
    assert marked.problems or marked.value == value


def test_the_schema_in_docs_is_the_one_that_the_command_prints():
    stored = Path(__file__).parents[2] / "docs" / "model.schema.json"
    assert json.loads(stored.read_text()) == schema(), "run `slipway schema > docs/model.schema.json`"


def test_the_schema_accepts_every_example():
    import jsonschema
    import yaml

    for name in task_names():
        jsonschema.validate(yaml.safe_load(load_task(name).EXAMPLE_YAML.format(name="example")), schema())


def test_the_schema_refuses_an_unknown_task():
    import jsonschema

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "a", "task": "regresion"}, schema())
