"""Is the forge up, with the people, the organization and the rights that a team has?"""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.errors import TryAgain
from tests.cluster.place import APART
from tests.cluster.programs import Program, start, wait_until
from tests.cluster.secrets import remembered
from tests.cluster.services import answers

if TYPE_CHECKING:
    from tests.cluster.place import Place

__all__ = ["ADMIN", "ORGANIZATION", "URL", "USERS", "Forge", "administrator", "forge_as", "up"]

URL = f"http://{APART}:3000"
ADMIN = "forge-admin"
USERS = ("ada", "grace")  # one who writes models, one who approves
ORGANIZATION = "team"

_SETTINGS = """\
APP_NAME = forge
RUN_MODE = prod
RUN_USER = root
WORK_PATH = {folder}
; Nothing outside the cluster's network can reach it, and an ordinary user could not read the cache in root's home.
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true

[server]
PROTOCOL = http
HTTP_ADDR = {address}
HTTP_PORT = 3000
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
INTERNAL_TOKEN = {token}

[oauth2]
ENABLED = false
JWT_SECRET = {jwt}

[service]
DISABLE_REGISTRATION = true

[webhook]
ALLOWED_HOST_LIST = *
DELIVER_TIMEOUT = 5

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


@dataclass(frozen=True, slots=True)
class Forge:
    """The forge's API as one user."""

    user: str
    password: str

    def call(self, method: str, path: str, body: object = None, *, accept: tuple[int, ...] = ()) -> Any:
        """The answer's JSON, or its status where that is in `accept`. Raises TryAgain on any other refusal."""
        who = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = urllib.request.Request(
            f"{URL}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {who}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                content = answer.read()
                return json.loads(content) if content else answer.status
        except urllib.error.HTTPError as refusal:
            if refusal.code in accept:
                return refusal.code
            raise TryAgain(f"forge: {method} {path}: {refusal.code} {refusal.read()[:300]!r}") from refusal


def forge_as(place: Place, user: str) -> Forge:
    return Forge(user, remembered(place, f"forge/{user}"))


def administrator(place: Place) -> Forge:
    return forge_as(place, ADMIN)


def up(place: Place) -> None:
    """Start the forge, with its admin, users and organization. Raises TryAgain."""
    folder = place.path("gitea", "app.ini").parent
    text = _SETTINGS.format(
        folder=folder,
        address=APART,
        url=URL,
        share=place.built["gitea"].share(),
        secret=remembered(place, "gitea/secret"),
        token=remembered(place, "gitea/internal", lambda: _gitea(place, "generate", "secret", "INTERNAL_TOKEN")),
        jwt=remembered(place, "gitea/jwt", lambda: _gitea(place, "generate", "secret", "JWT_SECRET")),
    )
    settings = place.write("gitea/app.ini", text, mode=0o600)
    program = [str(place.program("gitea", "gitea")), "web", f"--config={settings}"]
    start(place, Program("gitea", program, {"USER": "root"}, files=(settings,)))
    wait_until(place, "the forge answers", lambda: answers(f"{URL}/api/healthz"), 60, log="gitea")
    admin = administrator(place)
    if f" {ADMIN} " not in _gitea(place, "admin", "user", "list", f"--config={settings}"):
        words = [f"--username={ADMIN}", f"--password={admin.password}", f"--email={ADMIN}@forge.test"]
        create = ["admin", "user", "create", "--admin", "--must-change-password=false", f"--config={settings}"]
        _gitea(place, *create, *words)
    for user in USERS:
        person = {"username": user, "email": f"{user}@forge.test", "must_change_password": False}
        admin.call("POST", "/admin/users", {**person, "password": forge_as(place, user).password}, accept=(422,))
    admin.call("POST", "/orgs", {"username": ORGANIZATION}, accept=(422,))
    owners = admin.call("GET", f"/orgs/{ORGANIZATION}/teams")[0]["id"]
    for user in USERS:
        admin.call("PUT", f"/teams/{owners}/members/{user}")


def _gitea(place: Place, *arguments: str) -> str:
    command = [str(place.program("gitea", "gitea")), *arguments]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(place.folder), "USER": "root"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise TryAgain(f"gitea {' '.join(arguments[:3])} failed: {(done.stderr + done.stdout).strip()[-800:]}")
    return done.stdout.strip()
