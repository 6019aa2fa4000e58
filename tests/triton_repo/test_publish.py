"""A candidate becomes an immutable, signed version."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from triton_toys import COMMIT, NOW, Keys, again, make_candidate, make_draft

from slipway.errors import Misconfigured, Rejected, SlipwayError
from slipway.manifest import manifest_digest
from slipway.version import ModelVersion
from triton_repo.bundle import POINTS, publish
from triton_repo.fetch import check
from triton_repo.removal import remove_version, sweep_store
from triton_repo.store import ModelStore, open_store

VICTIM = Path(__file__).with_name("victim.py")


def everything(folder: Path) -> list[str]:
    """Every file in a store but the claimed numbers."""
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and ".numbers" not in path.parts
    )


def publish_it(store: ModelStore, candidate: Path, keys: Keys, operation: str = "op-1") -> ModelVersion:
    return publish(store, make_draft(candidate, operation_id=operation), candidate, keys.private)


def test_the_first_version_of_a_model_is_number_one(store: ModelStore, candidate: Path, keys: Keys) -> None:
    assert publish_it(store, candidate, keys).number == 1


def test_a_bundle_holds_exactly_its_layout(store: ModelStore, candidate: Path, keys: Keys) -> None:
    publish_it(store, candidate, keys)
    assert everything(Path(store.root)) == [
        f"toy/1/{path}"
        for path in (
            "1/model.onnx",
            "1/model.py",
            "config.pbtxt",
            "golden.npz",
            "manifest.json",
            "manifest.sig",
            "report.html",
            "weights.safetensors",
        )
    ]


def test_the_manifest_says_where_a_version_came_from(store: ModelStore, candidate: Path, keys: Keys) -> None:
    publish_it(store, candidate, keys)
    manifest = store.manifest("toy", 1)
    assert (manifest.name, manifest.number, manifest.source_commit) == ("toy", 1, COMMIT)


def test_the_digest_is_that_of_the_manifest_in_the_store(store: ModelStore, candidate: Path, keys: Keys) -> None:
    version = publish_it(store, candidate, keys)
    assert manifest_digest(store.manifest_bytes("toy", 1)) == version.digest


def test_the_config_serves_only_the_published_number(store: ModelStore, candidate: Path, keys: Keys) -> None:
    publish_it(store, candidate, keys)
    version = publish_it(store, candidate, keys, "op-2")
    text = store.read("toy", version.number, "config.pbtxt").decode()
    assert "version_policy {\n  specific {\n    versions: 2\n  }\n}" in text


def test_the_same_operation_publishes_once(store: ModelStore, candidate: Path, keys: Keys) -> None:
    assert publish_it(store, candidate, keys) == publish_it(store, candidate, keys)
    assert store.versions("toy") == [1]


def test_a_retry_at_a_later_time_is_still_the_same_version(store: ModelStore, candidate: Path, keys: Keys) -> None:
    draft = make_draft(candidate)
    first = publish(store, draft, candidate, keys.private)
    later = again(draft, created=draft.created + timedelta(hours=1))
    assert publish(store, later, candidate, keys.private) == first


def test_other_bytes_under_the_same_operation_are_refused(
    store: ModelStore, candidate: Path, keys: Keys, tmp_path: Path
) -> None:
    publish_it(store, candidate, keys)
    other = make_candidate(tmp_path / "other", scale=3.0)
    with pytest.raises(Rejected, match="with other content; a version never changes"):
        publish(store, make_draft(other), other, keys.private)


def test_a_file_that_validation_did_not_serve_is_refused(store: ModelStore, candidate: Path, keys: Keys) -> None:
    draft = make_draft(candidate)
    (candidate / "model" / "model.onnx").write_bytes(b"swapped after validation")
    with pytest.raises(Rejected, match=r"model/model.onnx of the candidate is not the file that validation served"):
        publish(store, draft, candidate, keys.private)
    assert everything(Path(store.root)) == []


def test_a_file_that_validation_never_saw_is_refused(store: ModelStore, candidate: Path, keys: Keys) -> None:
    draft = make_draft(candidate)
    (candidate / "model" / "extra.bin").write_bytes(b"?")
    with pytest.raises(Rejected, match=r"model/extra.bin of the candidate was never served"):
        publish(store, draft, candidate, keys.private)


def test_a_file_that_validation_served_must_still_be_there(store: ModelStore, candidate: Path, keys: Keys) -> None:
    draft = make_draft(candidate)
    (candidate / "model" / "model.py").unlink()
    with pytest.raises(Rejected, match=r"model/model.py of the candidate is not the file"):
        publish(store, draft, candidate, keys.private)


def test_a_link_out_of_the_candidate_is_refused(store: ModelStore, candidate: Path, keys: Keys) -> None:
    draft = make_draft(candidate)
    (candidate / "secrets").symlink_to("/etc/passwd")
    with pytest.raises(Rejected, match="only model/ and regular files"):
        publish(store, draft, candidate, keys.private)


def test_a_pipe_in_the_candidate_is_refused_without_waiting_for_it(
    store: ModelStore, candidate: Path, keys: Keys
) -> None:
    draft = make_draft(candidate)
    os.mkfifo(candidate / "model" / "pipe")
    with pytest.raises(Rejected, match="only model/ and regular files"):
        publish(store, draft, candidate, keys.private)


@pytest.mark.parametrize("name", ["..", "../toy", "/etc", "a" * 300, "Toy", "tоy", "toy\n", ".staging", ""])
def test_a_name_that_is_no_model_name_is_refused(store: ModelStore, candidate: Path, keys: Keys, name: str) -> None:
    draft = again(make_draft(candidate), name=name)
    with pytest.raises(Rejected):
        publish(store, draft, candidate, keys.private)
    assert not list(Path(store.root).iterdir())


def test_a_missing_key_is_a_setting_to_change(store: ModelStore, candidate: Path, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"the signing key .* does not exist"):
        publish(store, make_draft(candidate), candidate, tmp_path / "nowhere.key")


def test_a_key_that_is_none_is_a_setting_to_change(store: ModelStore, candidate: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.key").write_text("-----BEGIN NONSENSE-----")
    with pytest.raises(Misconfigured, match=r"bad.key is not a private P-256 key"):
        publish(store, make_draft(candidate), candidate, tmp_path / "bad.key")
    assert everything(Path(store.root)) == []


def test_two_publishers_at_once_get_different_numbers_in_a_row(store: ModelStore, candidate: Path, keys: Keys) -> None:
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda i: publish_it(store, candidate, keys, f"op-{i}"), range(8)))
    assert sorted(version.number for version in versions) == list(range(1, 9))


def test_the_same_operation_twice_at_once_is_one_version(store: ModelStore, candidate: Path, keys: Keys) -> None:
    with ThreadPoolExecutor(4) as pool:
        versions = set(pool.map(lambda _: publish_it(store, candidate, keys), range(4)))
    assert [version.number for version in versions] == [1]


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_publisher_killed_anywhere_publishes_once_when_run_again(
    store: ModelStore, candidate: Path, keys: Keys, point: str
) -> None:
    arguments = [store.root, str(candidate), str(keys.private), "op-1"]
    died = subprocess.run([sys.executable, str(VICTIM), "publish", point, *arguments], timeout=60, check=False)
    assert died.returncode == -9
    assert store.versions("toy") == ([1] if point == "placed" else [])
    version = publish_it(store, candidate, keys)
    assert version.number == 1
    check(store, version, verify_key=keys.public)
    assert {path.split("/")[0] for path in everything(Path(store.root))} == {"toy"}


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_what_a_killed_publisher_left_is_swept(store: ModelStore, candidate: Path, keys: Keys, point: str) -> None:
    arguments = [store.root, str(candidate), str(keys.private), "op-1"]
    subprocess.run([sys.executable, str(VICTIM), "publish", point, *arguments], timeout=60, check=False)
    sweep_store(store, NOW)
    assert [path for path in everything(Path(store.root)) if path.startswith(".")] == []


def test_a_sweep_leaves_a_living_publisher_alone(store: ModelStore, candidate: Path, keys: Keys) -> None:
    def at(point: str) -> None:
        if point == "copied":
            assert sweep_store(store, NOW) == []

    version = publish(store, make_draft(candidate), candidate, keys.private, at=at)
    check(store, version, verify_key=keys.public)


def test_a_number_that_was_claimed_and_not_used_is_not_given_to_another(
    store: ModelStore, candidate: Path, keys: Keys
) -> None:
    def stop(point: str) -> None:
        raise InterruptedError(point)

    with pytest.raises(SlipwayError):
        publish(store, make_draft(candidate, operation_id="lost"), candidate, keys.private, at=_at("staged", stop))
    assert publish_it(store, candidate, keys, "other").number == 2
    assert publish_it(store, candidate, keys, "lost").number == 1


def _at(point: str, action: object) -> object:
    return lambda reached: action(reached) if reached == point else None  # type: ignore[operator]


@pytest.mark.parametrize("scheme", ["file://", "memory://", "s3://"])
def test_every_kind_of_store_publishes_and_reads_the_same(
    candidate: Path, keys: Keys, tmp_path: Path, scheme: str, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "kinds").mkdir()
    store = open_store(request.getfixturevalue("bucket") if scheme == "s3://" else f"{scheme}{tmp_path}/kinds")
    version = publish_it(store, candidate, keys)
    assert publish_it(store, candidate, keys) == version
    assert publish_it(store, candidate, keys, "op-2").number == 2
    assert store.models() == ["toy"]
    assert (store.local_path("toy", 1) is None) == (scheme != "file://")
    check(store, version, verify_key=keys.public)
    remove_version(store, "toy", 1)
    assert store.versions("toy") == [2]
    assert publish_it(store, candidate, keys, "op-3").number == 3


def test_what_has_no_models_name_in_a_store_is_left_alone(store: ModelStore, candidate: Path, keys: Keys) -> None:
    publish_it(store, candidate, keys)
    for name in ("lost+found", "Notes", "empty"):
        Path(store.path(name)).mkdir()
    assert store.models() == ["toy"]


def test_a_store_given_as_file_url_is_that_folder(store: ModelStore, candidate: Path, keys: Keys) -> None:
    publish_it(store, candidate, keys)
    assert open_store(f"file://{store.root}").versions("toy") == [1]


@pytest.mark.slow
def test_memory_stays_flat_whatever_the_size(store: ModelStore, candidate: Path, keys: Keys) -> None:
    def peak(size: int) -> int:
        with (candidate / "weights.safetensors").open("wb") as file:
            file.truncate(size)
        command = [sys.executable, str(VICTIM), "publish", "", store.root, str(candidate), str(keys.private)]
        done = subprocess.run([*command, f"op-{size}"], capture_output=True, check=True, timeout=60)
        return int(done.stdout) // 1024

    small, large = peak(1 << 10), peak(400 << 20)
    assert large < 200
    assert large - small < 32


def test_the_listed_hash_of_a_large_file_is_that_of_its_bytes(store: ModelStore, candidate: Path, keys: Keys) -> None:
    content = os.urandom((9 << 20) + 17)
    (candidate / "weights.safetensors").write_bytes(content)
    publish_it(store, candidate, keys)
    entry = json.loads(store.manifest_bytes("toy", 1))["files"]["weights.safetensors"]
    assert entry == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
