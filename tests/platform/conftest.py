"""What the platform's tests share: platforms that run, and waiting for a fact of the outside world, with a limit."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# The toy models of the model repository's tests serve here too.
sys.path.insert(0, str(Path(__file__).parents[1] / "triton_repo"))

from triton_toys import make_candidate, make_draft

from gitops.bump import bump
from hera_workflows.platform.status import read_index
from hera_workflows.platform.up import down, up
from hera_workflows.settings import Platform
from slipway.operation import Operation
from slipway.version import ModelVersion
from triton_repo.bundle import publish
from triton_repo.store import open_store


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """Wait for a condition to hold; fails after `timeout` seconds."""

    def wait(condition: Callable[[], object], timeout: float = 20.0) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.02)

    return wait


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project without a model; what runs for it is stopped at the end."""
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    yield folder
    stop_platform(folder / ".slipway")


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform that runs, for tests that only look at it."""
    folder = tmp_path_factory.mktemp("living")
    (folder / "models").mkdir()
    try:
        yield up(folder)[0]
    finally:
        stop_platform(folder / ".slipway")


def stop_platform(home: Path) -> None:
    if home.is_dir():
        down(home)


class Shop:
    """A platform that other tests use too, and toy models with names of this test alone."""

    def __init__(self, platform: Platform, scratch: Path, prefix: str) -> None:
        self.platform, self.scratch, self.prefix = platform, scratch, prefix
        self.store = open_store(str(platform.store))

    def publish(self, scale: float = 2.0, name: str = "toy", model: bytes | None = None) -> ModelVersion:
        full = self.prefix + name
        operation = f"op-{full}-{self.store.next_number(full)}"
        candidate = make_candidate(self.scratch / operation, scale, model)
        return publish(self.store, make_draft(candidate, full, operation), candidate, self.platform.signing_key)

    def release(self, version: ModelVersion, environment: str = "staging") -> None:
        operation = Operation(f"bump/{version.name}/{version.number}", "bump", environment, version)
        bump(str(self.platform.env_repo), version, operation)

    def served(self, environment: str = "staging") -> dict[str, list[int]]:
        """The numbers of this test's models that are READY."""
        (server,) = [s for s in self.platform.servers if s.environment == environment]
        index = read_index(server.http_port, self.platform.secret_file.read_text()) or {}
        ready = {
            model: sorted(n for n, (state, _) in seen.items() if state == "READY") for model, seen in index.items()
        }
        ours = {model.removeprefix(self.prefix): n for model, n in ready.items() if model.startswith(self.prefix)}
        return {model: numbers for model, numbers in ours.items() if numbers}

    def folder(self, name: str = "toy") -> str:
        """Where a model's release lies in the env repo's staging."""
        return f"envs/staging/{self.prefix}{name}"

    def commit(self, change: Callable[[Path], object], message: str = "By hand", to: str = "main") -> str:
        """What a person does to the env repo: clone, change, commit, push; returns what git said."""
        clone = Path(tempfile.mkdtemp(dir=self.scratch))
        git = ["git", "-C", str(clone), "-c", "user.name=Ada", "-c", "user.email=ada@localhost"]
        subprocess.run(["git", "clone", "-q", str(self.platform.env_repo), str(clone)], check=True)
        change(clone)
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "--allow-empty", "-qm", message], check=True)
        pushed = subprocess.run([*git, "push", "-q", "origin", to], check=True, capture_output=True, text=True)
        return pushed.stderr

    def edit(self, content: str, name: str = "toy") -> str:
        """A person writes something into a release.env; returns what git said."""
        return self.commit(lambda clone: (clone / self.folder(name) / "release.env").write_text(content))


@pytest.fixture
def shop(living: Platform, tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(living, tmp_path, f"t{next(_COUNT)}-")
    yield shop
    # A version that does not load would be tried again in every later test.
    shop.commit(lambda clone: [shutil.rmtree(folder) for folder in clone.glob(f"envs/staging/{shop.prefix}*")])


_COUNT = itertools.count()
