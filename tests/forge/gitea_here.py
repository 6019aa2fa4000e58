"""A real Gitea of one's own: the binary that the test cluster built, on a free port of 127.0.0.1."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import signal
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.build import cache_folder
from triton_repo.ports import free_ports

__all__ = ["Gitea", "binary", "start_gitea"]

_SETTINGS = """\
RUN_MODE = prod
RUN_USER = {user}
WORK_PATH = {folder}
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = {url}/
STATIC_ROOT_PATH = {share}
DISABLE_SSH = true
OFFLINE_MODE = true
LFS_START_SERVER = false
[database]
DB_TYPE = sqlite3
PATH = {folder}/gitea.db
SQLITE_JOURNAL_MODE = WAL
[repository]
ROOT = {folder}/repositories
DEFAULT_BRANCH = main
[security]
INSTALL_LOCK = true
SECRET_KEY = {secret}
[oauth2]
ENABLED = false
[service]
DISABLE_REGISTRATION = true
[actions]
ENABLED = false
[indexer]
ISSUE_INDEXER_TYPE = db
[picture]
DISABLE_GRAVATAR = true
[cron.update_checker]
ENABLED = false
[log]
MODE = console
LEVEL = Warn
"""
_ADMIN = "forge-admin"
PEOPLE = ("slipway-bot", "grace")  # who proposes, who approves


def binary() -> tuple[Path, Path] | None:
    """(program, its static files) of the newest Gitea in the test cluster's cache; None when none was built."""
    built = sorted(cache_folder().glob("gitea-*/bin/gitea"))
    return (built[-1], built[-1].parents[1] / "share") if built else None


@dataclass(frozen=True)
class Gitea:
    url: str
    password: str  # everybody's
    tokens: dict[str, str]  # by login
    process: subprocess.Popen[bytes]

    def call(self, method: str, path: str, content: object = None, user: str = _ADMIN) -> Any:
        """What the API answers to a person with a password."""
        who = b64encode(f"{user}:{self.password}".encode()).decode()
        request = urllib.request.Request(
            f"{self.url}/api/v1{path}",
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={"Authorization": f"Basic {who}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = answer.read()
        return json.loads(found) if found else None

    def project(self, name: str) -> str:
        """A new project that both people may write, with one commit on main; its OWNER/NAME."""
        self.call("POST", "/orgs/team/repos", {"name": name, "auto_init": True, "default_branch": "main"})
        for person in PEOPLE:
            self.call("PUT", f"/repos/team/{name}/collaborators/{person}", {"permission": "write"})
        return f"team/{name}"

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)


def start_gitea(folder: Path, program: Path, share: Path) -> Gitea:
    """Start it, with an administrator, an organization and two people; returns when it answers."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    settings = folder / "app.ini"
    text = _SETTINGS.format(
        user=getpass.getuser(), folder=folder, port=port, url=url, share=share, secret=secrets.token_hex(16)
    )
    settings.write_text(text)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "USER": getpass.getuser()}
    log = (folder / "log.txt").open("wb")
    password = secrets.token_urlsafe(16)
    command = [str(program), "web", f"--config={settings}"]
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    gitea = Gitea(url, password, {}, process)
    try:
        _wait(gitea, folder)
        create = [str(program), "admin", "user", "create", "--admin", "--must-change-password=false"]
        words = [f"--config={settings}", f"--username={_ADMIN}", f"--password={password}", "--email=admin@forge.test"]
        subprocess.run([*create, *words], env=environment, check=True, capture_output=True, timeout=60)
        gitea.call("POST", "/orgs", {"username": "team"})
        for person in PEOPLE:
            new = {"username": person, "email": f"{person}@forge.test", "must_change_password": False}
            gitea.call("POST", "/admin/users", {**new, "password": password})
            token = gitea.call("POST", f"/users/{person}/tokens", {"name": "t", "scopes": ["all"]}, user=person)
            gitea.tokens[person] = token["sha1"]
    except BaseException:
        gitea.stop()
        raise
    return gitea


def _wait(gitea: Gitea, folder: Path) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"{gitea.url}/api/healthz", timeout=5):
                return
        except (OSError, urllib.error.URLError):
            if gitea.process.poll() is not None or time.monotonic() > until:
                raise AssertionError((folder / "log.txt").read_text()[-2000:]) from None
            time.sleep(0.1)
