"""No service of a package that a cluster needs is enabled; Debian's own programs, on a root of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cluster import debian

UNIT = "[Service]\nExecStart=/bin/true\n\n[Install]\nWantedBy=multi-user.target\n"
LINK = "etc/systemd/system/multi-user.target.wants/engine.service"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with systemd, on which a package has put a unit."""
    programs = [shutil.which(name) for name in ("systemctl", "deb-systemd-helper")]
    if None in programs:
        pytest.skip("needs Debian with systemd")
    for folder in ("bin", "etc", "lib/systemd/system"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "bin/systemctl").symlink_to(str(programs[0]))  # the helper asks whether the root has it
    (tmp_path / "lib/systemd/system/engine.service").write_text(UNIT)
    return tmp_path


def _configure(root: Path) -> None:
    """What the postinst of a package does that has a unit."""
    environment = {**os.environ, "DPKG_ROOT": str(root), "DPKG_MAINTSCRIPT_PACKAGE": "engine"}
    command = ["deb-systemd-helper", "enable", "engine.service"]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=30)


def test_a_service_that_is_installed_for_the_cluster_does_not_start_at_a_boot(root: Path) -> None:
    debian.forbid_services(root)
    _configure(root)
    debian.allow_services(root)
    assert not (root / LINK).is_symlink()


def test_a_service_that_is_installed_afterwards_starts_at_a_boot(root: Path) -> None:
    debian.forbid_services(root)
    debian.allow_services(root)
    _configure(root)
    assert (root / LINK).is_symlink()


def test_what_forbids_services_goes_without_a_trace(tmp_path: Path) -> None:
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/other").touch()
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    debian.forbid_services(tmp_path)
    assert len(debian.policies(tmp_path)) == 2
    debian.allow_services(tmp_path)
    assert debian.policies(tmp_path) == []
    assert sorted(tmp_path.rglob("*")) == before


def test_a_policy_of_the_machine_stays(tmp_path: Path) -> None:
    policy = tmp_path / "usr/sbin/policy-rc.d"
    policy.parent.mkdir(parents=True)
    policy.write_text("#!/bin/sh\nexit 0\n")
    debian.forbid_services(tmp_path)
    debian.allow_services(tmp_path)
    assert policy.read_text() == "#!/bin/sh\nexit 0\n"
