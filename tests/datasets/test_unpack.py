"""An archive from outside can neither escape, nor link, nor explode."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from hera_workflows.learning.datasets.unpack import unpack
from slipway.errors import Rejected

NAMES = ["../out.txt", "/etc/out.txt", "a/../../out.txt", "a\\..\\out.txt", "a\nb"]


def tar(path: Path, *members: tarfile.TarInfo | str) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            entry = tarfile.TarInfo(member) if isinstance(member, str) else member
            entry.size = 3 if entry.isreg() else 0
            archive.addfile(entry, io.BytesIO(b"abc") if entry.isreg() else None)
    return path


def zipped(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def refused(archive: Path, tmp_path: Path, **limits: int) -> str:
    target = tmp_path / "inner" / "target"
    target.mkdir(parents=True)
    with pytest.raises(Rejected) as caught:
        unpack("data.a", archive, target, **{"max_bytes": 1 << 30, **limits})
    outside = [*tmp_path.rglob("out*"), Path("/etc/out.txt")]
    assert not any(path.exists() for path in outside)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_tar_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str):
    assert "could lead out of its folder" in refused(tar(tmp_path / "a.tar.gz", name), tmp_path)


@pytest.mark.parametrize("name", NAMES[:3])
def test_a_zip_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str):
    assert "could lead out of its folder" in refused(zipped(tmp_path / "a.zip", **{name: b"x"}), tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes):
    entry = tarfile.TarInfo("a")
    entry.type, entry.linkname = kind, "/etc/passwd"
    assert "is a link or a device" in refused(tar(tmp_path / "a.tar.gz", entry), tmp_path)


def test_a_link_in_a_zip_is_refused(tmp_path: Path):
    entry = zipfile.ZipInfo("a")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    assert "is a link or a device" in refused(tmp_path / "a.zip", tmp_path)


def test_an_archive_that_explodes_is_stopped_at_the_limit(tmp_path: Path):
    archive = zipped(tmp_path / "a.zip", zeros=bytes(200 << 20))
    assert "unpacks to more than" in refused(archive, tmp_path)


def test_too_many_files_are_refused(tmp_path: Path):
    assert "more than 2 files" in refused(tar(tmp_path / "a.tar.gz", "a", "b", "c"), tmp_path, max_files=2)


def test_a_truncated_archive_is_refused(tmp_path: Path):
    whole = zipped(tmp_path / "a.zip", a=bytes(range(256)) * 50).read_bytes()
    (tmp_path / "b.zip").write_bytes(whole[:-30])
    assert "b.zip is truncated or damaged" in refused(tmp_path / "b.zip", tmp_path)


def test_a_truncated_tar_is_refused(tmp_path: Path):
    whole = tar(tmp_path / "a.tar.gz", "a", "b").read_bytes()
    (tmp_path / "b.tar.gz").write_bytes(whole[: len(whole) // 2])
    assert "b.tar.gz is truncated or damaged" in refused(tmp_path / "b.tar.gz", tmp_path)


def test_a_page_in_place_of_an_archive_is_refused(tmp_path: Path):
    (tmp_path / "a.tar.gz").write_bytes(b"<html>Not here</html>")
    assert "a.tar.gz is truncated or damaged" in refused(tmp_path / "a.tar.gz", tmp_path)


def test_one_name_twice_is_refused(tmp_path: Path):
    assert "holds a twice" in refused(tar(tmp_path / "a.tar.gz", "a", "a"), tmp_path)


def test_a_refused_archive_leaves_nothing_in_the_cache(get, tmp_path: Path, cache: Path):
    import hashlib

    archive = tar(tmp_path / "a.tar.gz", "good", "../out.txt")
    with pytest.raises(Rejected):
        get(str(archive), f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}")
    assert [path.name for path in cache.iterdir() if not path.name.startswith(".")] == []
    assert list((cache / ".partial").iterdir()) == []
