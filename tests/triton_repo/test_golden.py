"""Golden requests are plain arrays that survive the way to the store."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from triton_toys import golden

from slipway.errors import Rejected
from triton_repo.golden import Golden, load_golden


def test_golden_requests_come_back_as_they_were(tmp_path: Path) -> None:
    golden(2.0).save(tmp_path / "golden.npz")
    for source in (tmp_path / "golden.npz", (tmp_path / "golden.npz").read_bytes()):
        back = load_golden(source)
        np.testing.assert_array_equal(back.inputs["x"], golden(2.0).inputs["x"])
        np.testing.assert_array_equal(back.outputs["y"], golden(2.0).outputs["y"])
        assert len(back) == 10


def test_the_same_requests_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        golden(2.0).save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "exploded",)

    np.savez(tmp_path / "bomb.npz", **{"inputs/x": np.array([Bomb()], dtype=object)})
    with pytest.raises(Rejected, match="is not a file of golden requests"):
        load_golden(tmp_path / "bomb.npz")
    assert not (tmp_path / "exploded").exists()


def test_a_zip_bomb_is_refused_before_it_unpacks() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("inputs/x.npy", bytes(1000))
        archive.infolist()[0].file_size = 1100 << 20  # as the archive's directory will say
    with pytest.raises(Rejected, match="unpacks to more than"):
        load_golden(content.getvalue())


def test_more_golden_requests_than_a_training_writes_are_refused_with_their_limit() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("inputs/x.npy", bytes(1000))
        archive.infolist()[0].file_size = 129 << 20
    with pytest.raises(Rejected, match="unpacks to more than 128 MiB, twice the 64 MiB of requests that a training"):
        load_golden(content.getvalue())


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x04K\x01.", bytes(100)])
def test_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(Rejected, match="is not a file of golden requests"):
        load_golden(content)


def archived(content: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("inputs/x.npy", "outputs/y.npy"):
            file.writestr(name, content)
    return archive.getvalue()


def npy(header: str) -> bytes:
    return archived(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())


def shaped(shape: str) -> bytes:
    return npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape},)}}")


def marked(content: bytes, place: int, value: int) -> bytes:
    """The archive with a byte of each entry's header changed, in the entry itself and in the directory at the end."""
    changed = bytearray(content)
    for sign, start in ((b"PK\x03\x04", place), (b"PK\x01\x02", place + 2)):
        at = changed.find(sign)
        while at >= 0:
            changed[at + start] = value
            at = changed.find(sign, at + 1)
    return bytes(changed)


HARMFUL = {
    "petabytes": shaped("1000000000000000"),
    "more than a machine's integer": shaped("1" + "0" * 30),
    "a shape that is no number": shaped("True"),
    "text without an end": npy("{'descr': '''"),
    "brackets without an end": npy("(" * 9000),
    "no array": archived(b"no array"),
    "encrypted": marked(archived(bytes(99)), 6, 1),
    "a compression that nobody knows": marked(archived(bytes(99)), 8, 97),
    "compressed bytes that are none": marked(archived(bytes(99)), 42, 255),
}


@pytest.mark.parametrize("content", HARMFUL.values(), ids=HARMFUL)
def test_an_archive_that_was_made_to_do_harm_is_refused(content: bytes) -> None:
    with pytest.raises(Rejected, match="golden requests"):
        load_golden(content)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="validate the model again"):
        load_golden(tmp_path / "golden.npz")


@pytest.mark.parametrize(("requests", "answers"), [(0, 0), (3, 2)])
def test_requests_and_answers_must_be_as_many_and_some(requests: int, answers: int) -> None:
    with pytest.raises(Rejected, match="the same number of requests"):
        Golden({"x": np.zeros((requests, 4))}, {"y": np.zeros((answers, 4))})
