"""What leaves the store is what was published, or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from triton_toys import Keys, make_draft

from slipway.errors import Misconfigured, Rejected
from slipway.version import ModelVersion
from triton_repo.bundle import publish
from triton_repo.fetch import check, copy_published, fetch, read_published
from triton_repo.signing import generate_keys
from triton_repo.store import ModelStore


@pytest.fixture
def version(store: ModelStore, candidate: Path, keys: Keys) -> ModelVersion:
    return publish(store, make_draft(candidate), candidate, keys.private)


def bundle(store: ModelStore, version: ModelVersion) -> Path:
    folder = store.local_path(version.name, version.number)
    assert folder is not None
    return folder


def refused(store: ModelStore, version: ModelVersion, keys: Keys, destination: Path) -> str:
    """Why fetch and check refuse a version, having left nothing behind."""
    with pytest.raises(Rejected) as first:
        check(store, version, verify_key=keys.public)
    with pytest.raises(Rejected) as second:
        fetch(store, version, destination, verify_key=keys.public)
    assert str(first.value) == str(second.value)
    assert not destination.parent.exists() or not list(destination.parent.iterdir())
    return str(first.value)


def test_a_fetched_version_has_every_byte(store: ModelStore, version: ModelVersion, keys: Keys, tmp_path: Path) -> None:
    fetch(store, version, tmp_path / "out" / "toy", verify_key=keys.public)
    for path in store.files("toy", 1):
        assert (tmp_path / "out" / "toy" / path).read_bytes() == store.read("toy", 1, path)


def test_fetching_again_changes_nothing(store: ModelStore, version: ModelVersion, keys: Keys, tmp_path: Path) -> None:
    fetch(store, version, tmp_path / "toy", verify_key=keys.public)
    when = (tmp_path / "toy").stat().st_mtime_ns
    fetch(store, version, tmp_path / "toy", verify_key=keys.public)
    assert (tmp_path / "toy").stat().st_mtime_ns == when


def test_a_folder_with_something_else_is_never_overwritten(
    store: ModelStore, version: ModelVersion, keys: Keys, tmp_path: Path
) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "mine").touch()
    with pytest.raises(Rejected, match="exists and is not toy@1"):
        fetch(store, version, tmp_path / "toy", verify_key=keys.public)


def test_only_what_is_asked_for_is_copied(store: ModelStore, version: ModelVersion, keys: Keys, tmp_path: Path) -> None:
    fetch(store, version, tmp_path / "toy", verify_key=keys.public, only=lambda path: path == "golden.npz")
    assert sorted(path.name for path in (tmp_path / "toy").iterdir()) == [
        "golden.npz",
        "manifest.json",
        "manifest.sig",
    ]


@pytest.mark.parametrize("path", ["1/model.onnx", "golden.npz", "config.pbtxt", "report.html"])
def test_a_flipped_bit_is_refused(
    store: ModelStore, version: ModelVersion, keys: Keys, tmp_path: Path, path: str
) -> None:
    file = bundle(store, version) / path
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert f"{path} is not the file that was published" in refused(store, version, keys, tmp_path / "out" / "toy")


@pytest.mark.parametrize("change", [lambda content: content[:-1] + b"x", lambda content: content + b"x"])
def test_a_file_that_was_changed_is_refused_however_it_is_read(
    store: ModelStore, version: ModelVersion, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    manifest = store.manifest(version.name, version.number)
    file = bundle(store, version) / "golden.npz"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(Rejected, match=r"golden\.npz is not the file that was published"):
        read_published(store, manifest, "golden.npz")
    with pytest.raises(Rejected, match=r"golden\.npz is not the file that was published"):
        copy_published(store, manifest, "golden.npz", tmp_path / "golden.npz")


def test_a_file_that_the_manifest_does_not_list_is_refused(store: ModelStore, version: ModelVersion) -> None:
    (bundle(store, version) / "notes.txt").write_text("x")
    with pytest.raises(Rejected, match=r"notes\.txt is not the file that was published"):
        read_published(store, store.manifest(version.name, version.number), "notes.txt")


def test_a_flipped_bit_in_the_manifest_is_refused(
    store: ModelStore, version: ModelVersion, keys: Keys, tmp_path: Path
) -> None:
    file = bundle(store, version) / "manifest.json"
    file.write_bytes(file.read_bytes().replace(b'"seconds": 1.5', b'"seconds": 1.4'))
    assert "has digest" in refused(store, version, keys, tmp_path / "out" / "toy")


def test_a_missing_file_is_refused(store: ModelStore, version: ModelVersion, keys: Keys, tmp_path: Path) -> None:
    (bundle(store, version) / "weights.safetensors").unlink()
    assert "weights.safetensors is missing" in refused(store, version, keys, tmp_path / "out" / "toy")


def test_an_extra_file_is_refused(store: ModelStore, version: ModelVersion, keys: Keys, tmp_path: Path) -> None:
    (bundle(store, version) / "1" / "sitecustomize.py").write_text("import os")
    assert "1/sitecustomize.py is not listed" in refused(store, version, keys, tmp_path / "out" / "toy")


def test_a_version_under_another_number_is_refused(
    store: ModelStore, version: ModelVersion, keys: Keys, tmp_path: Path
) -> None:
    shutil.move(bundle(store, version), Path(store.root) / "toy" / "7")
    moved = ModelVersion("toy", 7, version.digest)
    assert "says that it is toy@1" in refused(store, moved, keys, tmp_path / "out" / "toy")


def test_a_version_under_another_model_is_refused(
    store: ModelStore, version: ModelVersion, keys: Keys, tmp_path: Path
) -> None:
    shutil.move(Path(store.root) / "toy", Path(store.root) / "digits")
    moved = ModelVersion("digits", 1, version.digest)
    assert "says that it is toy@1" in refused(store, moved, keys, tmp_path / "out" / "toy")


def test_another_digest_than_the_released_one_is_refused(
    store: ModelStore, version: ModelVersion, keys: Keys, tmp_path: Path
) -> None:
    other = ModelVersion("toy", 1, "sha256:" + "0" * 64)
    assert "not sha256:0000" in refused(store, other, keys, tmp_path / "out" / "toy")


def test_a_version_that_does_not_exist_is_refused(store: ModelStore, version: ModelVersion, keys: Keys) -> None:
    with pytest.raises(Rejected, match="does not exist"):
        check(store, ModelVersion("toy", 2, version.digest), verify_key=keys.public)


def test_a_signature_by_another_key_is_refused(store: ModelStore, version: ModelVersion, tmp_path: Path) -> None:
    generate_keys(tmp_path / "other.key", tmp_path / "other.pub")
    with pytest.raises(Rejected, match="the signature does not match"):
        check(store, version, verify_key=tmp_path / "other.pub")


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\x00", b"[1]", b"null", b'{"dsseEnvelope": 3}', b"[" * 100_000])
def test_a_signature_that_is_none_is_refused(
    store: ModelStore, version: ModelVersion, keys: Keys, content: bytes
) -> None:
    (bundle(store, version) / "manifest.sig").write_bytes(content)
    with pytest.raises(Rejected, match="the signature does not match"):
        check(store, version, verify_key=keys.public)


def test_a_manifest_signed_for_another_version_is_refused(
    store: ModelStore, version: ModelVersion, candidate: Path, keys: Keys
) -> None:
    second = publish(store, make_draft(candidate, operation_id="op-2"), candidate, keys.private)
    shutil.copy(bundle(store, version) / "manifest.sig", bundle(store, second) / "manifest.sig")
    with pytest.raises(Rejected, match="the signature does not match"):
        check(store, second, verify_key=keys.public)


def test_a_verify_key_that_is_none_is_a_setting_to_change(
    store: ModelStore, version: ModelVersion, tmp_path: Path
) -> None:
    (tmp_path / "bad.pub").write_text("?")
    with pytest.raises(Misconfigured, match="is not a public key in PEM"):
        check(store, version, verify_key=tmp_path / "bad.pub")


def test_keys_are_made_once_and_only_their_owner_reads_the_private_one(tmp_path: Path) -> None:
    private, public = tmp_path / "k" / "a.key", tmp_path / "k" / "a.pub"
    generate_keys(private, public)
    first = private.read_bytes(), public.read_bytes()
    generate_keys(private, public)
    assert (private.read_bytes(), public.read_bytes()) == first
    assert private.stat().st_mode & 0o777 == 0o600


def test_a_listed_path_out_of_the_bundle_is_refused(
    store: ModelStore, version: ModelVersion, candidate: Path, keys: Keys, tmp_path: Path
) -> None:
    from triton_repo.store import check_file

    for path in ("../escape", "/etc/passwd", "a//b", "", ".", "a/../b", "a\x00b", "é"):
        with pytest.raises(Rejected):
            check_file(path)
