"""Text becomes the same tokens wherever it is cut, and answers become the entities that the metrics count."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from hera_workflows.learning.tasks.token_classification import entity_counts
from hera_workflows.learning.text import MAX_CHARACTERS, encode, label, model_inputs, text_problems, vocabulary_of
from hera_workflows.learning.text_export import check_padding, pipeline_of
from slipway.errors import Misconfigured, Rejected
from triton_repo.answers import same_answers
from triton_repo.golden import Golden
from triton_repo.runtime import model_files
from triton_repo.runtime.text_pipeline import RESERVED, TextError, TextPipeline, tokens

CLASSES = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


@dataclass(frozen=True)
class Words:
    tokens: tuple[str, ...]
    tags: tuple[str, ...]


def pipeline(*words: str, most: int = 100) -> TextPipeline:
    return TextPipeline((*RESERVED, *words), CLASSES, most)


def sure(rows: list[list[int]]) -> np.ndarray:
    """Probabilities of 0.9 for these classes."""
    probabilities = np.full((len(rows), max(map(len, rows)), len(CLASSES)), 0.025, np.float32)
    for row, labels in enumerate(rows):
        probabilities[row, range(len(labels)), labels] = 0.9
    return probabilities


def test_runs_of_letters_and_single_other_characters_are_tokens() -> None:
    assert " ".join(tokens("U.N. in Genève: 3.5 %\t(ok)")) == "U . N . in Genève : 3 . 5 % ( ok )"


@given(st.text(max_size=60))
def test_joining_tokens_by_blanks_gives_the_same_tokens(text: str) -> None:
    assert tokens(" ".join(tokens(text))) == tokens(text)


def test_unknown_tokens_keep_whether_they_begin_with_a_capital() -> None:
    assert pipeline("in").encode(["Oslo in rain"]).tolist() == [[2, 3, 1]]


def test_a_text_without_tokens_is_a_row_of_padding() -> None:
    assert pipeline().encode(["", " \n"]).tolist() == [[0], [0]]


def test_entities_say_where_they_are_in_the_text() -> None:
    (answer,) = pipeline().decode(["Hé, Ada Keller!"], sure([[0, 0, 1, 2, 0]]))
    assert json.loads(answer) == [{"start": 4, "end": 14, "label": "PER", "text": "Ada Keller", "score": 0.9}]


@given(st.lists(st.integers(0, len(CLASSES) - 1), min_size=1, max_size=12))
def test_the_server_finds_as_many_entities_as_the_metrics_count(labels: list[int]) -> None:
    (answer,) = pipeline().decode([" ".join("abcdefghijkl"[: len(labels)])], sure([labels]))
    row = np.array([labels])
    assert len(json.loads(answer)) == entity_counts(row, row, CLASSES)[0, 0]


def test_a_text_that_is_too_long_is_refused_with_its_place() -> None:
    rows = np.array([[b"short"], [b"x" * 101]], dtype=object)
    with pytest.raises(TextError, match="text 2 has 101 characters; send at most 100"):
        pipeline().texts(rows)


def test_a_text_that_is_not_utf_8_is_refused_with_the_byte() -> None:
    with pytest.raises(TextError, match=r"text 1 is not UTF-8 \(byte 2\)"):
        pipeline().texts(np.array([[b"ab\xff"]], dtype=object))


def test_text_json_gives_the_same_pipeline_back(tmp_path: Path) -> None:
    pipeline("Genève", "in").write(tmp_path / "text.json")
    assert TextPipeline.read(tmp_path / "text.json") == pipeline("Genève", "in")


def test_a_vocabulary_numbers_what_occurs_often_enough() -> None:
    assert vocabulary_of(["a b", "b c", "c c"], at_least=2) == [*RESERVED, "b", "c"]


def test_the_tag_of_a_word_goes_to_all_its_tokens() -> None:
    texts, labels = label([Words(("U.N.", "in", "Oslo"), ("B-LOC", "O", "B-LOC"))], CLASSES)
    assert texts.tolist() == ["U.N. in Oslo"]
    assert labels.tolist() == [[3, 4, 4, 4, 0, 3]]


def test_a_tag_that_is_no_class_is_named() -> None:
    with pytest.raises(Rejected, match="tag 'B-ORG' of 'Acme' is not among the classes O, B-PER"):
        label([Words(("Acme",), ("B-ORG",))], CLASSES)


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        (["U.N. met"], [[0, 0]], "text 0 has 5 tokens and 2 labels"),
        (["a b"], [[0, 0, -100]], "labels have 3 columns and the longest text 2 tokens"),
        (["a " * MAX_CHARACTERS], [[0]], f"at most {MAX_CHARACTERS} are served"),
        (["a"], [0], "needs a label for each token"),
        ([["a"]], [[0]], "give one text a sample"),
    ],
)
def test_what_does_not_fit_together_is_said(texts: list[str], labels: list[object], message: str) -> None:
    (problem,) = text_problems({"text": np.array(texts)}, np.array(labels))
    assert message in problem


def test_text_comes_alone() -> None:
    inputs = {"text": np.array(["a"]), "age": np.array([[1.0]])}
    assert text_problems(inputs, np.array([[0]])) == ["text comes with other inputs (text, age); give the text alone"]


@pytest.mark.parametrize("vocabulary", [None, [], [1, 2], ["a", "b", "c"], [*RESERVED, "a", "a"]])
def test_a_module_without_a_usable_vocabulary_is_refused(vocabulary: object) -> None:
    class Module: ...

    module = Module()
    module.vocabulary = vocabulary  # type: ignore[attr-defined]
    with pytest.raises(Rejected, match="vocabulary_of"):
        pipeline_of(module, CLASSES)


def test_a_model_that_takes_no_text_says_so(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="takes no text"):
        model_inputs(tmp_path, {"text": np.array(["a"])})


def test_text_cannot_be_served_by_the_backend_without_python() -> None:
    with pytest.raises(Misconfigured, match="use --backend python"):
        model_files("onnxruntime", text=True)


def test_people_and_server_make_the_same_ids() -> None:
    vocabulary = vocabulary_of(["Ada met Grace"])
    texts = ["Ada met nobody", "Grace"]
    assert (encode(texts, vocabulary) == TextPipeline(tuple(vocabulary), (), 99).encode(texts)).all()


@pytest.mark.parametrize(
    ("got", "same"),
    [
        (b'[{"start": 1, "score": 0.50004}]', True),
        (b'[{"score": 0.5, "start": 1}]', True),
        (b'[{"start": 1, "score": 0.51}]', False),
        (b'[{"start": 2, "score": 0.5}]', False),
        (b'[{"start": 1}]', False),
        (b"[]", False),
        (b"no JSON", False),
        (b"[" * 100_000, False),
    ],
)
def test_json_answers_are_the_same_up_to_the_tolerance_of_their_numbers(got: bytes, same: bool) -> None:
    expected = {"entities": np.array([[b'[{"start": 1, "score": 0.5}]']])}
    assert same_answers({"entities": np.array([[got]], dtype=object)}, expected, 1e-4) is same


@pytest.mark.parametrize("with_padding", [False, True])
def test_a_tagger_whose_answer_depends_on_padding_is_refused(tmp_path: Path, with_padding: bool) -> None:
    """Probabilities are the id, or the id and the mean over the row, padding included."""
    nodes = [
        helper.make_node("Cast", ["text"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["ids"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Add", ["ids", "mean"], ["sums"]),
        helper.make_node("Unsqueeze", ["sums" if with_padding else "ids", "axis"], ["probabilities"]),
    ]
    text = helper.make_tensor_value_info("text", TensorProto.INT64, ["batch", "tokens"])
    answer = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", "tokens", 1])
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [2])
    graph = helper.make_graph(nodes, "tagger", [text], [answer], [axis])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "model.onnx"
    )
    ids = np.array([[3, 4, 5], [3, 0, 0]])
    numbers = ids + ids.mean(axis=1, keepdims=True) if with_padding else ids
    golden = Golden({"text": ids}, {"probabilities": numbers[..., None].astype(np.float32)})
    with (
        pytest.raises(Rejected, match="changes with the padding that a longer text") if with_padding else nullcontext()
    ):
        check_padding(tmp_path / "model.onnx", golden, 1e-4)
