"""What each format gives out, and the one line that says what is wrong with a file."""

from __future__ import annotations

import os
import pickle
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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


def photo(path: Path, colour: tuple[int, int, int] = (200, 0, 0), size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for split in ("train", "validation", "test"):
        for label, kind in enumerate(("cat", "dog")):
            for number in range(5):
                photo(tmp_path / "p" / split / kind / "phone" / f"{number}.jpg", (20 * number, 200 * label, len(split)))
    return tmp_path / "p"


def test_pictures_are_scaled_and_cut_and_made_when_they_are_asked_for(pictures: Path):
    images, labels, sources = opened(pictures, "image-folder").split("train", size=16)
    assert (images.shape, images[3:5].shape, images[[0, 9]].dtype) == ((10, 16, 16, 3), (2, 16, 16, 3), np.uint8)
    assert labels.tolist() == [0] * 5 + [1] * 5
    assert set(sources) == {"phone"}
    assert images[[9]][0, 8, 8].tolist() == pytest.approx([80, 200, 5], abs=8)


def test_pictures_that_nobody_has_split_are_split_the_same_way_each_time(tmp_path: Path):
    for kind in ("cat", "dog"):
        for number in range(60):
            photo(tmp_path / "p" / kind / f"{number}.png", (number, 10 * (kind == "cat"), 0), (8, 8))
    folder = opened(tmp_path / "p", "image-folder")
    counts = [len(folder.split(split)[1]) for split in ("train", "validation", "test")]
    assert sum(counts) == 120
    assert counts[0] > 80


def test_a_class_missing_in_a_split_is_refused(pictures: Path):
    for path in (pictures / "test" / "dog" / "phone").iterdir():
        path.unlink()
    with pytest.raises(Rejected, match="no picture of dog in test"):
        opened(pictures, "image-folder").split("test")


BROKEN = {
    "truncated": "is damaged",
    "empty": "is not a picture",
    "text": "is not a picture",
    "huge": "is too large",
    "bomb": "has too many pixels",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_picture_is_refused_by_its_name(pictures: Path, kind: str):
    path = pictures / "train" / "cat" / "phone" / "0.jpg"
    whole = path.read_bytes()
    if kind in ("huge", "bomb"):
        side = 9_200 if kind == "huge" else 20_000
        path.write_bytes(png(side))
    else:
        path.write_bytes({"truncated": whole[:-200], "empty": b"", "text": b"not a picture"}[kind])
    images, _, _ = opened(pictures, "image-folder").split("train")
    with pytest.raises(Rejected) as caught:
        images[:1]
    assert "train/cat/phone/0.jpg" in str(caught.value)
    assert BROKEN[kind] in str(caught.value)
    assert "\n" not in str(caught.value)


def png(side: int) -> bytes:
    """The header of a picture of side × side pixels, and nothing of it."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")


def test_a_broken_picture_can_be_skipped(pictures: Path):
    (pictures / "train" / "cat" / "phone" / "0.jpg").write_bytes(b"")
    images, labels, _ = opened(pictures, "image-folder", skip=["train/cat/phone/0.jpg"]).split("train", size=8)
    assert images[:].shape == (9, 8, 8, 3)
    assert labels.tolist() == [0] * 4 + [1] * 5


def test_a_picture_that_is_not_what_its_name_says_is_read_by_its_content(pictures: Path):
    Image.new("RGBA", (8, 8), (1, 2, 3, 255)).save(pictures / "train" / "cat" / "phone" / "0.jpg", format="PNG")
    images, _, _ = opened(pictures, "image-folder").split("train", size=8)
    assert images[:1][0, 0, 0].tolist() == [1, 2, 3]


def test_one_picture_under_two_labels_is_refused(pictures: Path):
    same = (pictures / "train" / "cat" / "phone" / "0.jpg").read_bytes()
    (pictures / "test" / "dog" / "phone" / "9.jpg").write_bytes(same)
    with pytest.raises(Rejected, match=r"is the same picture as .* under another label"):
        opened(pictures, "image-folder").split("train")


def test_pictures_are_stored_as_the_test_split_some_at_a_time(pictures: Path, tmp_path: Path):
    images, labels, sources = opened(pictures, "image-folder").split("test", size=16)
    split = dataset.split_of((images, labels, {"source": sources}), "test")
    dataset.write_split(split, tmp_path / "test")
    stored = dataset.read_split(tmp_path / "test")
    assert isinstance(stored.inputs["input"], np.memmap)
    assert (stored.inputs["input"] == images[:]).all()


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
