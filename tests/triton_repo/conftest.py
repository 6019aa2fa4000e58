"""Stores, keys and servers for the tests of the model repository."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from bucket_world import S3Server, s3_server
from triton_toys import SECRET, Keys, Shop, make_candidate

from triton_repo.control import TritonControl
from triton_repo.server import start_triton
from triton_repo.signing import generate_keys
from triton_repo.store import ModelStore, open_store


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    pair = Keys(folder / "signing.key", folder / "signing.pub")
    generate_keys(pair.private, pair.public)
    return pair


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    (tmp_path / "store").mkdir()
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    return make_candidate(tmp_path / "candidate")


@pytest.fixture
def shop(tmp_path: Path, store: ModelStore, keys: Keys) -> Iterator[Shop]:
    triton = start_triton(tmp_path / "repository", tmp_path / "triton", secret=SECRET)
    try:
        with TritonControl(triton.grpc_address, SECRET) as control:
            yield Shop(store, keys, tmp_path, triton, control)
    finally:
        triton.stop(0)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One real S3 server; tests keep to prefixes of their own."""
    with s3_server(tmp_path_factory.mktemp("s3") / "files") as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The URL of an empty store in the bucket; the variables that lead there are set."""
    for name, value in s3.variables.items():
        monkeypatch.setenv(name, value)
    return f"s3://models/{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]}"
