"""A folder of pictures gives out each split scaled, and refuses what is wrong with it in one line."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hera_workflows.learning import dataset
from hera_workflows.learning.datasets import Fetched, open_sets
from slipway.errors import Rejected


def folder_of(path: Path, skip: list[str] | None = None):
    digest = "sha256:" + "0" * 64
    fetched = Fetched(url="x", format="image-folder", digest=digest, size=1, path=path, skip=skip or [])
    return open_sets({"points": fetched})["points"]


def photo(path: Path, colour: tuple[int, int, int] = (200, 0, 0), size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for split in ("train", "validation", "test"):
        for label, kind in enumerate(("cat", "dog")):
            for number in range(5):
                photo(
                    tmp_path / "p" / split / kind / "phone" / f"{number}.jpg",
                    (20 * number, 200 * label, 20 * len(split)),
                )
    return tmp_path / "p"


def test_pictures_are_scaled_and_cut_and_made_when_they_are_asked_for(pictures: Path):
    images, labels, sources = folder_of(pictures).split("train", size=16)
    assert (images.shape, images[3:5].shape, images[[0, 9]].dtype) == ((10, 16, 16, 3), (2, 16, 16, 3), np.uint8)
    assert labels.tolist() == [0] * 5 + [1] * 5
    assert set(sources) == {"phone"}
    assert images[[9]][0, 8, 8].tolist() == pytest.approx([80, 200, 100], abs=8)


def test_pictures_that_nobody_has_split_are_split_the_same_way_each_time(tmp_path: Path):
    for kind in ("cat", "dog"):
        for number in range(60):
            photo(tmp_path / "p" / kind / f"{number}.png", (number, 10 * (kind == "cat"), 0), (8, 8))
    folder = folder_of(tmp_path / "p")
    counts = [len(folder.split(split)[1]) for split in ("train", "validation", "test")]
    assert sum(counts) == 120
    assert counts[0] > 80


def test_a_picture_whose_name_is_not_utf_8_is_drawn_into_a_split_too(tmp_path: Path):
    for kind in ("cat", "dog"):
        for number in range(60):
            photo(
                tmp_path / "p" / kind / os.fsdecode(b"\xe9%d.png" % number), (number, 10 * (kind == "cat"), 0), (8, 8)
            )
    folder = folder_of(tmp_path / "p")
    assert sum(len(folder.split(split)[1]) for split in ("train", "validation", "test")) == 120


def test_a_class_missing_in_a_split_is_refused(pictures: Path):
    for path in (pictures / "test" / "dog" / "phone").iterdir():
        path.unlink()
    with pytest.raises(Rejected, match="no picture of dog in test"):
        folder_of(pictures).split("test")


@pytest.mark.parametrize("size", [-1, 0, 10**6])
def test_a_size_that_no_picture_can_have_is_refused(pictures: Path, size: int):
    with pytest.raises(Rejected, match=f"size={size}; give the pixels of a side, 1 to 4096"):
        folder_of(pictures).split("train", size=size)


BROKEN = {
    "truncated": "is damaged",
    "corrupt": "is damaged",
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
        file = io.BytesIO()
        Image.new("RGB", (40, 30)).save(file, "PNG")
        corrupt = file.getvalue()[:50] + b"\x55" * 8 + file.getvalue()[58:]
        broken = {"truncated": whole[:-200], "corrupt": corrupt, "empty": b"", "text": b"not a picture"}
        path.write_bytes(broken[kind])
    images, _, _ = folder_of(pictures).split("train")
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
    images, labels, _ = folder_of(pictures, skip=["train/cat/phone/0.jpg"]).split("train", size=8)
    assert images[:].shape == (9, 8, 8, 3)
    assert labels.tolist() == [0] * 4 + [1] * 5


def test_a_picture_that_is_not_what_its_name_says_is_read_by_its_content(pictures: Path):
    Image.new("RGBA", (8, 8), (1, 2, 3, 255)).save(pictures / "train" / "cat" / "phone" / "0.jpg", format="PNG")
    images, _, _ = folder_of(pictures).split("train", size=8)
    assert images[:1][0, 0, 0].tolist() == [1, 2, 3]


def test_one_picture_under_two_labels_is_refused(pictures: Path):
    same = (pictures / "train" / "cat" / "phone" / "0.jpg").read_bytes()
    (pictures / "test" / "dog" / "phone" / "9.jpg").write_bytes(same)
    with pytest.raises(Rejected, match=r"is the same picture as .* under another label"):
        folder_of(pictures).split("train")


def test_one_picture_in_two_splits_is_refused(pictures: Path):
    same = (pictures / "train" / "cat" / "phone" / "0.jpg").read_bytes()
    (pictures / "test" / "cat" / "phone" / "9.jpg").write_bytes(same)
    with pytest.raises(Rejected) as caught:
        folder_of(pictures).split("train")
    assert "train/cat/phone/0.jpg is the same picture as test/cat/phone/9.jpg" in str(caught.value)
    assert "list it under `skip:`" in str(caught.value)


def test_copies_of_a_picture_that_nobody_has_split_stay_together(tmp_path: Path):
    for kind, colour in (("cat", 0), ("dog", 200)):
        for number in range(120):
            photo(tmp_path / "p" / kind / f"{number}.png", (number // 2, colour, 0), (8, 8))
    folder = folder_of(tmp_path / "p")
    colours = [{tuple(picture[0, 0]) for picture in folder.split(split, size=8)[0][:]} for split in ("train", "test")]
    assert not colours[0] & colours[1]


def test_pictures_are_stored_as_the_test_split_some_at_a_time(pictures: Path, tmp_path: Path):
    images, labels, sources = folder_of(pictures).split("test", size=16)
    split = dataset.split_of((images, labels, {"source": sources}), "test")
    dataset.write_split(split, tmp_path / "test")
    stored = dataset.read_split(tmp_path / "test")
    assert isinstance(stored.inputs["input"], np.memmap)
    assert (stored.inputs["input"] == images[:]).all()
