"""The command line on odd terminals, disks and folders."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hera_workflows.platform.processes import belonging, start
from hera_workflows.platform.up import down


def slipway(*arguments, cwd, **options):
    command = [sys.executable, "-m", "hera_workflows", *arguments]
    return subprocess.run(command, cwd=cwd, stderr=subprocess.PIPE, text=True, timeout=60, check=False, **options)


def test_output_that_finds_no_room_ends_with_75_and_one_line(tmp_path):
    with open("/dev/full", "w") as full:
        done = slipway("logs", cwd=tmp_path, stdout=full)
    assert (done.returncode, done.stderr.count("\n")) == (75, 1)
    assert "No space left on device; make room there" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["logs"], ["schema"]])
def test_a_reader_that_has_gone_ends_it_as_any_program_and_without_a_word(tmp_path, arguments):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = slipway(*arguments, cwd=tmp_path, stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_terminal_without_our_signs_shows_others(tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = slipway("logs", cwd=tmp_path, stdout=subprocess.PIPE, env=environment)
    assert (done.returncode, done.stdout.split(";")[0]) == (0, "no runs yet")
    assert "before=?" in done.stdout


def test_a_home_without_a_platform_is_named(tmp_path):
    done = slipway("--home", "elsewhere", "status", cwd=tmp_path)
    assert done.returncode == 78
    assert f"there is no platform in {tmp_path / 'elsewhere'}" in done.stderr


@pytest.mark.slow
def test_down_finds_what_an_up_that_was_killed_early_began(tmp_path):
    home = tmp_path / ".slipway"
    home.mkdir()
    (home / "up.lock").touch()
    start(["sleep", "60"], home=home, role="triton", log=home / "log")
    try:
        assert slipway("down", cwd=tmp_path, stdout=subprocess.PIPE).returncode == 0
        assert belonging(home) == []
    finally:
        down(home)


def test_a_project_that_does_not_exist_gets_no_platform(tmp_path):
    assert slipway("--home", "home", "up", "--project", "nowhere", cwd=tmp_path).returncode == 2
    assert not (tmp_path / "home").exists()


@pytest.mark.slow
def test_down_through_a_link_stops_what_was_started_without_it(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "up.lock").touch()
    start(["sleep", "60"], home=home, role="prometheus", log=home / "log")
    (tmp_path / "link").symlink_to(home)
    try:
        assert slipway("--home", "link", "down", cwd=tmp_path, stdout=subprocess.PIPE).returncode == 0
        assert belonging(home) == []
    finally:
        down(home)


@pytest.mark.slow
def test_what_up_says_to_type_survives_a_space_in_the_path(tmp_path):
    project = tmp_path / "my project"
    (project / "models").mkdir(parents=True)
    try:
        done = slipway("up", cwd=project, stdout=subprocess.PIPE)
        assert f"git remote add slipway '{project}/.slipway/source.git'" in done.stdout
    finally:
        down(project / ".slipway")
