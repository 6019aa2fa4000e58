"""The password of a git server comes from the file that GIT_CREDENTIALS names, and from nowhere else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import quote

import pytest
from env_world import World, version
from password_server import PASSWORD, USER, served

from gitops.bump import bump
from gitops.environment_repo import read
from slipway.errors import TryAgain
from slipway.operation import Operation


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with served(world.repo.parent) as address:
        yield f"{address}/{world.repo.name}"


def credentials(path: Path, url: str, password: str = PASSWORD) -> Path:
    path.write_text(url.replace("http://", f"http://{quote(USER)}:{quote(password, safe='')}@") + "\n")
    return path


def test_a_version_is_released_behind_a_password(
    world: World, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GIT_CREDENTIALS", str(credentials(tmp_path / "credentials", url)))
    assert bump(url, version(1), Operation("1", "bump", "staging", version(1))).created
    assert world.read().release("staging", "digits") == version(1)


def test_without_a_credential_the_server_refuses_and_nobody_is_asked(url: str):
    with pytest.raises(TryAgain, match="does not answer"):
        read(url)


@pytest.mark.parametrize("name", ["a b", "$(touch pwned)", "'; touch pwned #", '"`touch pwned`'])
def test_no_part_of_the_files_path_is_run(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CREDENTIALS", str(credentials(tmp_path / name, url)))
    assert read(url).environments.first.name == "staging"
    assert [path.name for path in tmp_path.rglob("pwned")] == []


@pytest.mark.parametrize("password", [PASSWORD, "wrong"])
def test_the_file_stays_as_it_is_whatever_the_server_says(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str
):
    file = credentials(tmp_path / "credentials", url, password)
    before = file.read_bytes()
    monkeypatch.setenv("GIT_CREDENTIALS", str(file))
    with pytest.raises(TryAgain) if password == "wrong" else nullcontext():
        read(url)
    assert file.read_bytes() == before


def test_a_helper_of_the_users_own_is_not_asked(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = tmp_path / "gitconfig"
    mark = tmp_path / "asked"
    subprocess.run(["git", "config", "--file", config, "credential.helper", f"!touch {mark}; true"], check=True)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CREDENTIALS", str(credentials(tmp_path / "credentials", url)))
    read(url)
    assert not mark.exists()
