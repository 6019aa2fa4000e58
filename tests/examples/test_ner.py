"""ner, from a corpus to a tagger on a real Triton that takes text and survives whatever is sent as text."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from example_yard import Shipped, Yard

from hera_workflows.learning.dataset import read_split
from hera_workflows.learning.inference import open_session, predict
from hera_workflows.learning.tasks.token_classification import entity_counts
from hera_workflows.learning.text import MAX_CHARACTERS, model_inputs
from hera_workflows.steps.validate import validate_model
from slipway.errors import Misconfigured, Rejected
from slipway.verdict import Outcome
from triton_repo.ask import ask
from triton_repo.control import TritonControl
from triton_repo.golden import load_golden
from triton_repo.server import RunningTriton, start_triton
from triton_repo.serving import serve
from triton_repo.store import open_store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shipped(yard: Yard) -> Shipped:
    yard.take("ner")
    return yard.ship("ner")


@pytest.fixture(scope="module")
def triton(yard: Yard, shipped: Shipped) -> Iterator[RunningTriton]:
    """A server that serves the published version."""
    repository = yard.root / "serving" / "models"
    server = start_triton(repository, repository.parent, secret=None)
    try:
        with TritonControl(server.grpc_address, None) as control:
            store = open_store(yard.store)
            serve(store, control, repository, [shipped.version], verify_key=None, timeout=60)
        yield server
    finally:
        server.stop(0)


def entities(triton: RunningTriton, *texts: bytes, protocol: str = "grpc") -> list[list[dict[str, object]]]:
    """What the server finds in each text of one request."""
    address = triton.grpc_address if protocol == "grpc" else f"127.0.0.1:{triton.ports.http}"
    rows = np.array(texts, dtype=object).reshape(-1, 1)
    answer = ask(address, "ner", 1, {"text": rows}, protocol="grpc" if protocol == "grpc" else "http")
    return [json.loads(text) for text in answer["entities"][:, 0]]


def found(triton: RunningTriton, text: str) -> list[tuple[object, object]]:
    (answer,) = entities(triton, text.encode())
    return [(entity["text"], entity["label"]) for entity in answer]


def test_ner_passes_its_gates_on_a_real_triton(shipped: Shipped) -> None:
    assert shipped.validation.outcome is Outcome.PASS, shipped.validation.checks
    names = {check.name for check in shipped.validation.checks}
    assert {"entity_f1", "serves grpc batch 1", "serves http batch 1", "serves grpc batch 64"} <= names


def test_the_version_carries_its_vocabulary_and_the_pipeline_as_published_files(shipped: Shipped) -> None:
    assert {"1/model.onnx", "1/model.py", "1/text.json", "1/text_pipeline.py"} <= shipped.manifest.files.keys()
    assert shipped.manifest.files["1/text.json"] == shipped.validation.files["model/text.json"]


def test_golden_requests_are_text_and_what_pytorch_finds_in_it(shipped: Shipped) -> None:
    golden = load_golden(shipped.folder / "candidate" / "golden.npz")
    assert golden.inputs["text"].dtype.kind == golden.outputs["entities"].dtype.kind == "S"
    assert any(json.loads(answer) for answer in golden.outputs["entities"][:, 0])


def test_entities_are_found_in_a_plain_sentence(triton: RunningTriton) -> None:
    assert found(triton, "Ada Keller flew from Oslo to Lima with Northwind staff.") == [
        ("Ada Keller", "PER"),
        ("Oslo", "LOC"),
        ("Lima", "LOC"),
        ("Northwind", "ORG"),
    ]


def test_the_served_entities_are_those_that_the_metrics_counted(triton: RunningTriton, shipped: Shipped) -> None:
    test, folder = read_split(shipped.folder / "train" / "test"), shipped.folder / "train"
    output = predict(open_session(folder / "model.onnx"), model_inputs(folder, test.inputs))
    classes = shipped.manifest.spec.classes or []
    counted = entity_counts(output.argmax(axis=-1), test.labels, classes)[:, 1]
    texts = [text.encode() for text in test.inputs["text"].tolist()]
    served = [len(each) for start in range(0, len(texts), 32) for each in entities(triton, *texts[start : start + 32])]
    assert served == counted.astype(int).tolist()


def test_an_answer_does_not_depend_on_a_longer_text_beside_it(triton: RunningTriton) -> None:
    short, long = b"Police in Oslo said two people were hurt .", b"and " * 900
    (alone,), (beside, _) = entities(triton, short), entities(triton, short, long)
    assert [(e["start"], e["end"], e["label"]) for e in beside] == [(e["start"], e["end"], e["label"]) for e in alone]
    assert [e["score"] for e in beside] == pytest.approx([e["score"] for e in alone], abs=1e-5)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("text", [b"", b" \n\t", b"\0", "\u200b\u0301".encode(), b"...."])
def test_text_without_words_gets_a_short_answer(triton: RunningTriton, text: bytes, protocol: str) -> None:
    (answer,) = entities(triton, text, protocol=protocol)
    assert len(answer) <= 4


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"x" * 100_000, f"text 1 has 100000 characters; send at most {MAX_CHARACTERS}"),
        (b"Oslo \xff\xfe", "text 1 is not UTF-8 (byte 5)"),
        (b"\xed\xa0\x80", "text 1 is not UTF-8 (byte 0)"),
    ],
)
def test_bad_text_gets_an_error_that_says_why(triton: RunningTriton, text: bytes, message: str, protocol: str) -> None:
    with pytest.raises(Rejected) as error:
        entities(triton, text, protocol=protocol)
    assert message in str(error.value)


def test_the_longest_text_that_is_taken_is_answered(triton: RunningTriton) -> None:
    assert len(entities(triton, b"." * MAX_CHARACTERS)) == 1


def test_neighbours_of_bad_text_in_one_batch_are_answered(triton: RunningTriton) -> None:
    bad = [b"x" * 100_000, b"\xff", "ü".encode("latin-1")]
    asked = [bad[n // 5 % 3] if n % 5 == 0 else b"Shares of Northwind fell" for n in range(200)]

    def ask_one(text: bytes) -> list[object] | None:
        try:
            return [entity["text"] for entity in entities(triton, text)[0]]
        except Rejected:
            return None

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask_one, asked))
    assert answers == [None if text in bad else ["Northwind"] for text in asked]


def test_the_backend_without_python_is_refused_before_anything_is_served(
    shipped: Shipped, yard: Yard, tmp_path: Path
) -> None:
    shutil.copytree(shipped.folder / "train", tmp_path / "ner" / "train")
    with pytest.raises(Misconfigured, match="use --backend python"):
        validate_model("ner", tmp_path / "ner", yard.store, yard.env_repo, "onnxruntime")
    assert not (tmp_path / "ner" / "candidate").exists()


def test_the_next_version_is_compared_with_this_one_on_the_same_texts(yard: Yard, shipped: Shipped) -> None:
    yaml = yard.project / "models" / "ner" / "model.yaml"
    yaml.write_text(
        yaml.read_text().replace("epochs: 6", "epochs: 3").replace("train:\n", "train:\n  from: champion\n")
    )
    # Another corpus, so another vocabulary: the champion must be asked with its own.
    train = yaml.parent / "corpus" / "train.txt"
    train.write_text(train.read_text() + "\nMonrovia B-LOC\nthanked O\nMonrovia B-LOC\nagain O\n")
    second = yard.ship("ner", "push-2")
    assert second.validation.champion == "ner@1"
    assert second.validation.metrics["entity_f1"].champion == pytest.approx(
        shipped.validation.metrics["entity_f1"].value
    )
    assert second.manifest.training["from"]["version"] == "ner@1"
    # Its rows are other words now, so the embedding alone is learned anew.
    assert second.manifest.training["from"]["taken"] == second.manifest.training["from"]["of"] - 1
