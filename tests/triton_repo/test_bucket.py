"""A store in a bucket has no rename, and yet a version is there whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bucket_world import SECRET, S3Server, s3_server
from triton_toys import Keys, make_candidate, make_draft

from slipway.errors import Misconfigured, Rejected, SlipwayError, TryAgain
from slipway.version import ModelVersion
from triton_repo.bundle import BUCKET_POINTS, publish
from triton_repo.fetch import check, fetch
from triton_repo.objects import STALE, settle
from triton_repo.removal import remove_version, sweep_store
from triton_repo.store import ModelStore, open_store

VICTIM = Path(__file__).with_name("victim.py")


def publish_it(store: ModelStore, candidate: Path, keys: Keys, operation: str = "op-1") -> ModelVersion:
    return publish(store, make_draft(candidate, operation_id=operation), candidate, keys.private)


def kill_at(point: str, url: str, candidate: Path, keys: Keys) -> None:
    arguments = [url, str(candidate), str(keys.private), "op-1"]
    died = subprocess.run([sys.executable, str(VICTIM), "publish", point, *arguments], timeout=60, check=False)
    assert died.returncode == -9


def later() -> datetime:
    """A time at which what was written now has long been left alone."""
    return datetime.now(UTC) + STALE + timedelta(hours=1)


@pytest.mark.slow
@pytest.mark.parametrize("point", BUCKET_POINTS)
def test_a_publisher_killed_anywhere_publishes_once_when_run_again(
    bucket: str, candidate: Path, keys: Keys, point: str
) -> None:
    kill_at(point, bucket, candidate, keys)
    store = open_store(bucket)
    assert store.versions("toy") == ([1] if point == "placed" else [])
    version = publish_it(store, candidate, keys)
    assert version.number == 1
    check(store, version, verify_key=keys.public)


def test_two_publishers_at_once_get_different_numbers_in_a_row(bucket: str, candidate: Path, keys: Keys) -> None:
    store = open_store(bucket)
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda i: publish_it(store, candidate, keys, f"op-{i}"), range(8)))
    assert sorted(version.number for version in versions) == list(range(1, 9))


def test_the_same_operation_twice_at_once_is_one_version_with_its_own_signature(
    bucket: str, candidate: Path, keys: Keys
) -> None:
    store = open_store(bucket)
    with ThreadPoolExecutor(4) as pool:
        versions = set(pool.map(lambda _: publish_it(store, candidate, keys), range(4)))
    assert [version.number for version in versions] == [1]
    check(store, versions.pop(), verify_key=keys.public)


@pytest.mark.slow
def test_other_bytes_under_an_operation_that_died_are_refused_before_one_of_them_is_sent(
    bucket: str, s3: S3Server, candidate: Path, keys: Keys, tmp_path: Path
) -> None:
    kill_at("uploaded", bucket, candidate, keys)
    weights = s3.folder / bucket.rpartition("/")[2] / "toy" / "1" / "weights.safetensors"
    before = weights.read_bytes()
    other = make_candidate(tmp_path / "other", scale=3.0)
    (other / "weights.safetensors").write_bytes(b"other weights")
    with pytest.raises(Rejected, match="with other content; a version never changes"):
        publish_it(open_store(bucket), other, keys)
    assert weights.read_bytes() == before


@pytest.mark.slow
def test_what_a_killed_publisher_left_is_swept_once_nobody_can_be_at_work_on_it(
    bucket: str, candidate: Path, keys: Keys
) -> None:
    kill_at("uploaded", bucket, candidate, keys)
    store = open_store(bucket)
    assert sweep_store(store, datetime.now(UTC)) == []
    assert sweep_store(store, later()) == ["toy/1"]
    assert store.names("toy") == []


def begin_upload(store: ModelStore, *path: str) -> None:
    """Send the first part of a file and no more."""
    sink = store.fs.open(store.path(*path), "wb", block_size=5 << 20, autocommit=False)
    sink.write(bytes(6 << 20))


def test_an_upload_that_was_never_completed_is_given_up(bucket: str) -> None:
    store = open_store(bucket)
    settle(store, "toy", 1, b"manifest", b"signature")
    begin_upload(store, "toy", "1", "weights")
    assert sweep_store(store, datetime.now(UTC)) == []
    assert sweep_store(store, later()) == ["toy/1/weights"]
    assert sweep_store(store, later()) == []


def test_a_store_that_is_a_whole_bucket_leaves_what_others_upload_to_it(bucket: str) -> None:
    store = open_store(bucket.rpartition("/")[0])
    begin_upload(store, "backups", "2024", "dump")
    assert sweep_store(store, later()) == []
    listed = store.fs.call_s3("list_multipart_uploads", Bucket="models", Prefix="backups/")
    assert [upload["Key"] for upload in listed["Uploads"]] == ["backups/2024/dump"]


def test_a_sweep_leaves_every_version_alone(bucket: str, candidate: Path, keys: Keys) -> None:
    store = open_store(bucket)
    version = publish_it(store, candidate, keys)
    assert sweep_store(store, later()) == []
    check(store, version, verify_key=keys.public)


def test_a_sweep_takes_no_other_folder_for_a_version(bucket: str, candidate: Path, keys: Keys) -> None:
    store = open_store(bucket)
    version = publish_it(store, candidate, keys)
    for path in (("toy", "001", "notes"), ("Notes", "1", "today")):
        store.fs.pipe_file(store.path(*path), b"somebody's")
    assert sweep_store(store, later()) == []
    check(store, version, verify_key=keys.public)


def test_a_version_whose_file_was_swept_meanwhile_is_not_completed(bucket: str, candidate: Path, keys: Keys) -> None:
    store = open_store(bucket)

    def at(point: str) -> None:
        if point == "written":
            store.fs.rm_file(store.path("toy", "1", "weights.safetensors"))

    with pytest.raises(TryAgain, match=r"weights\.safetensors is gone again"):
        publish(store, make_draft(candidate), candidate, keys.private, at=at)
    assert store.versions("toy") == []


def test_a_removal_takes_the_manifest_first(bucket: str, candidate: Path, keys: Keys) -> None:
    store = open_store(bucket)
    publish_it(store, candidate, keys)
    store.fs.rm_file(store.path("toy", "1", "manifest.json"))  # as far as a killed removal gets at least
    assert store.versions("toy") == []
    remove_version(store, "toy", 1)
    assert store.names("toy") == []


def test_a_candidate_that_changes_under_the_upload_leaves_no_file(bucket: str, candidate: Path, keys: Keys) -> None:
    store = open_store(bucket)

    def at(point: str) -> None:
        if point == "settled":
            (candidate / "golden.npz").write_bytes(b"other")

    with pytest.raises(Rejected, match="changed while it was being published"):
        publish(store, make_draft(candidate), candidate, keys.private, at=at)
    assert "golden.npz" not in store.files("toy", 1)


def test_a_flipped_byte_in_the_bucket_never_arrives(
    bucket: str, s3: S3Server, candidate: Path, keys: Keys, tmp_path: Path
) -> None:
    store = open_store(bucket)
    version = publish_it(store, candidate, keys)
    served = s3.folder / bucket.rpartition("/")[2] / "toy" / "1" / "1" / "model.onnx"
    content = bytearray(served.read_bytes())
    content[len(content) // 2] ^= 1
    served.write_bytes(content)
    with pytest.raises(Rejected, match=r"1/model\.onnx is not the file that was published; do not serve it"):
        fetch(store, version, tmp_path / "fetched", verify_key=keys.public)
    assert not (tmp_path / "fetched").exists()


@pytest.mark.slow
def test_memory_stays_flat_whatever_the_size(bucket: str, candidate: Path, keys: Keys) -> None:
    def peak(*command: str) -> int:
        done = subprocess.run([sys.executable, str(VICTIM), *command], capture_output=True, check=True, timeout=120)
        return int(done.stdout) // 1024

    peaks = []
    for size in (1 << 10, 64 << 20, 400 << 20):
        with (candidate / "weights.safetensors").open("wb") as file:
            file.truncate(size)
        peaks.append(peak("publish", "", bucket, str(candidate), str(keys.private), f"op-{size}"))
    small, medium, large = peaks
    assert large - medium < 16
    assert large - small < 160


@pytest.mark.parametrize(
    ("variable", "value", "family", "remedy"),
    [
        ("AWS_SECRET_ACCESS_KEY", "another-secret", Misconfigured, "refused these credentials .*; set AWS_ACCESS_KEY"),
        ("AWS_ACCESS_KEY_ID", "somebody", Misconfigured, "refused these credentials .*; set AWS_ACCESS_KEY"),
        ("AWS_SECRET_ACCESS_KEY", None, Misconfigured, "no credentials were given; set AWS_ACCESS_KEY_ID"),
        ("AWS_ENDPOINT_URL", "nonsense", Misconfigured, "Invalid endpoint: nonsense"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", TryAgain, "does not answer .*; check AWS_ENDPOINT_URL"),
    ],
)
def test_a_wrong_setting_is_told_by_its_remedy_and_without_the_secret(
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str | None,
    family: type[SlipwayError],
    remedy: str,
) -> None:
    monkeypatch.delenv(variable) if value is None else monkeypatch.setenv(variable, value)
    with pytest.raises(family, match=remedy) as raised:
        open_store(bucket).versions("toy")
    assert SECRET not in str(raised.value)
    assert "another-secret" not in str(raised.value)


def test_a_bucket_that_is_not_there_is_a_setting_to_change(bucket: str) -> None:
    with pytest.raises(Misconfigured, match="the bucket does not exist; create it, or correct MODEL_STORE"):
        open_store("s3://elsewhere/prefix").models()


def test_credentials_in_the_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(Misconfigured, match="leave them to AWS_ACCESS_KEY_ID") as raised:
        open_store(f"s3://key:{SECRET}@models/prefix")
    assert SECRET not in str(raised.value)


def test_a_server_that_ends_in_the_middle_is_asked_again_later(
    candidate: Path, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server(tmp_path / "mortal") as server:
        for name, value in server.variables.items():
            monkeypatch.setenv(name, value)
        store = open_store("s3://models/prefix")

        def at(point: str) -> None:
            if point == "settled":
                server.process.kill()

        with pytest.raises(TryAgain, match="does not answer"):
            publish(store, make_draft(candidate), candidate, keys.private, at=at)
