"""What each format gives out, and the one line that says what is wrong with a file."""

from __future__ import annotations

import os
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest

from hera_workflows.learning import dataset
from hera_workflows.learning.datasets import Fetched, open_sets
from hera_workflows.learning.datasets.cifar import load_batch
from slipway.errors import Rejected


def opened(path: Path, format: str, skip: list[str] | None = None):
    fetched = Fetched(url="x", format=format, digest="sha256:" + "0" * 64, size=1, path=path, skip=skip or [])
    return open_sets({"points": fetched})["points"]


def table(tmp_path: Path, text: str | bytes):
    (tmp_path / "p.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return opened(tmp_path / "p.csv", "csv")


def test_columns_of_numbers_and_of_text(tmp_path: Path):
    found = table(tmp_path, "x,who\n1,Ada\n2.5,Grace\n")
    assert found.columns == ("x", "who")
    assert found["x"].tolist() == [1.0, 2.5]
    assert found["who"].tolist() == ["Ada", "Grace"]


CSV = {
    "": "is empty",
    "x,y\n": "has a header and no row",
    "x,y\n1,2\nx,y\n3,4\n": "p.csv:3: the header comes twice",
    "x,y\n1,2\n3,four\n": "p.csv:3: y is 'four', not a finite number",
    "x,y\n1,2\n3,\n": "p.csv:3: y is empty, not a finite number",
    "x,y\n1,2\n3,nan\n": "p.csv:3: y is 'nan', not a finite number",
    "x,y\n1,inf\n": "p.csv:2: y is 'inf', not a finite number",
    "x,y\n1,a\n3,4\n": "p.csv:3: y is the number '4' among text",
    "x,y\n1,2,3\n": "p.csv:2: 3 values for 2 columns",
    "x,x\n1,2\n": "p.csv:1: the header ['x', 'x'] has an empty or a repeated name",
    'x,y\n1,"2\n': "p.csv:2: unexpected end of data",
    b"x,y\n1,\xff\n": "p.csv: not UTF-8",
    "x,y\n1," + "9" * 200_000: "p.csv:2: field larger than field limit",
}


@pytest.mark.parametrize("content", CSV, ids=list(CSV.values()))
def test_a_csv_that_is_wrong_is_refused_by_its_line(tmp_path: Path, content: str | bytes):
    with pytest.raises(Rejected) as caught:
        table(tmp_path, content)["x"]
    assert CSV[content] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path):
    with pytest.raises(Rejected, match="has no column 'z'; it has x, y"):
        table(tmp_path, "x,y\n1,2\n")["z"]


def corpus(tmp_path: Path, text: str | bytes):
    (tmp_path / "train.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(opened(tmp_path, "conll").split("train"))


def test_sentences_with_their_tags(tmp_path: Path):
    text = "-DOCSTART- -X- -X- O\n\nU.N. NNP I-NP I-ORG\nmeets VB O O\n\nAda NNP O B-PER\n"
    assert corpus(tmp_path, text) == [(("U.N.", "meets"), ("B-ORG", "O")), (("Ada",), ("B-PER",))]


CONLL = {
    "Ada\n": "train.txt:1: 'Ada' has no tag",
    "Ada B-PER\nKeller PER\n": "train.txt:2: 'PER' is not a tag",
    "Ada B-\n": "train.txt:1: 'B-' is not a tag",
    "\n\n": "holds no sentence",
    b"Ad\xff B-PER\n": "not UTF-8",
    "x" * 20_000 + " O\n": "train.txt:1: a line of more than 10000 characters",
    "a O\n" * 10_001: "train.txt:10001: a sentence of more than 10000 tokens",
}


@pytest.mark.parametrize("content", CONLL, ids=list(CONLL.values()))
def test_a_corpus_that_is_wrong_is_refused_by_its_line(tmp_path: Path, content: str | bytes):
    with pytest.raises(Rejected) as caught:
        corpus(tmp_path, content)
    assert CONLL[content] in str(caught.value)


def test_a_split_without_a_file_is_refused(tmp_path: Path):
    (tmp_path / "train.txt").write_text("a O\n")
    with pytest.raises(Rejected, match="has no file for test"):
        opened(tmp_path, "conll").split("test")


@pytest.mark.parametrize("name", ["inputs-input.npy", "labels.npy", "slices.npz"])
@pytest.mark.parametrize("content", ["empty", "zip", "other kind", "broken zip", "object"])
def test_a_stored_split_of_which_a_file_is_none_is_refused(tmp_path: Path, name: str, content: str):
    given = (np.ones((3, 2), "float32"), np.zeros(3, int), {"source": np.array(["a", "b", "c"])})
    dataset.write_split(dataset.split_of(given, "test"), tmp_path / "test")
    path = tmp_path / "test" / name
    if content in ("empty", "broken zip"):
        path.write_bytes(b"" if content == "empty" else b"PK\x03\x04" + bytes(50))
    else:
        with path.open("wb") as file:
            if content == "zip":
                np.savez(file, other=np.ones(3))
            elif content == "object":
                np.save(file, np.array([1, "a"], dtype=object), allow_pickle=True)
            else:
                np.savez(file, np.ones(3)) if name.endswith("npy") else np.save(file, np.ones(3))
    with pytest.raises(Rejected, match="the test split cannot be read"):
        dataset.read_split(tmp_path / "test")


def batch(tmp_path: Path, content: bytes) -> tuple[bytes, list[int]]:
    (tmp_path / "data_batch_1").write_bytes(content)
    return load_batch(tmp_path / "data_batch_1", "data.points")


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_batch_is_read_without_numpys_own_unpickling(tmp_path: Path, protocol: int):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3072), np.uint8)
    content = pickle.dumps({b"data": pixels, b"labels": [1, 2, 3]}, protocol=protocol)
    assert batch(tmp_path, content) == (pixels.tobytes(), [1, 2, 3])


TRACE = Path(tempfile.gettempdir()) / f"slipway-ran-{os.getpid()}"


class Evil:
    def __reduce__(self):
        return (os.system, (f"touch {TRACE}",))


PICKLES = {
    "which could run code": pickle.dumps({b"data": Evil(), b"labels": [1]}, protocol=2),
    "another type than bytes": pickle.dumps({b"data": np.zeros((1, 3072)), b"labels": [1]}, protocol=2),
    "has no data and labels": pickle.dumps([1, 2]),
    "2 labels and 3072 bytes of pixels": pickle.dumps(
        {b"data": np.zeros((1, 3072), np.uint8), b"labels": [1, 2]}, protocol=2
    ),
    "is not a batch of CIFAR-10 (pickle data was truncated)": pickle.dumps({b"labels": b"x" * 99}, protocol=2)[:60],
}


@pytest.mark.parametrize("said", PICKLES)
def test_a_batch_that_is_wrong_is_refused(tmp_path: Path, said: str):
    with pytest.raises(Rejected) as caught:
        batch(tmp_path, PICKLES[said])
    assert said in str(caught.value)
    assert not TRACE.exists()


def test_a_label_out_of_range_is_refused(tmp_path: Path):
    folder = tmp_path / "content"
    folder.mkdir()
    good = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 7]}
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": [b"a", b"b"]}, protocol=2))
    for name in ("data_batch_1", "test_batch"):
        (folder / name).write_bytes(pickle.dumps(good, protocol=2))
    with pytest.raises(Rejected, match="data_batch_1: label 7 of 2 classes"):
        opened(folder, "cifar-python").split("train")
