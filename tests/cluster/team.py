"""Does the forge have the team's two repositories, the accounts of slipway's pods, and the webhooks?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.cluster.forge import ORGANIZATION, URL, USERS, administrator, forge_as
from tests.cluster.secrets import remembered

if TYPE_CHECKING:
    from tests.cluster.forge import Forge
    from tests.cluster.place import Place

__all__ = [
    "ENVIRONMENTS",
    "MODELS",
    "READER",
    "SOURCE_SPEAKER",
    "SPEAKER",
    "WRITER",
    "credentials",
    "hooks",
    "protect",
    "token",
    "up",
    "url",
]

MODELS = f"{ORGANIZATION}/models"
ENVIRONMENTS = f"{ORGANIZATION}/environments"
# Git's accounts by what they may do. Two speak to the forge's API: one of requests, comments, statuses and merges,
# one of the models' statuses alone.
READER, WRITER, SPEAKER, SOURCE_SPEAKER = "slipway-reader", "slipway-writer", "slipway", "slipway-source"
_SCOPES = {
    SPEAKER: ["write:repository", "write:issue", "read:user", "read:organization"],
    SOURCE_SPEAKER: ["write:repository", "read:user"],
}
_RIGHTS = {
    MODELS: {READER: "read", SPEAKER: "write", SOURCE_SPEAKER: "write"},
    ENVIRONMENTS: {READER: "read", WRITER: "write", SPEAKER: "write"},
}


def up(place: Place) -> None:
    """Make the repositories and the accounts, each with its rights. Raises TryAgain."""
    admin = administrator(place)
    for bot in (READER, WRITER, SPEAKER, SOURCE_SPEAKER):
        account = {"username": bot, "email": f"{bot}@forge.test", "must_change_password": False}
        admin.call("POST", "/admin/users", {**account, "password": forge_as(place, bot).password}, accept=(422,))
    for repository, rights in _RIGHTS.items():
        name = repository.partition("/")[2]
        wanted = {"name": name, "private": True, "default_branch": "main"}
        admin.call("POST", f"/orgs/{ORGANIZATION}/repos", wanted, accept=(409,))
        for bot, permission in rights.items():
            admin.call("PUT", f"/repos/{repository}/collaborators/{bot}", {"permission": permission})


def protect(place: Place) -> None:
    """Let nobody but slipway write the environments' main branch, and only who approves merge into it."""
    rule = {
        "rule_name": "main",
        "enable_push": True,
        "enable_push_whitelist": True,
        "push_whitelist_usernames": [WRITER],
        "enable_merge_whitelist": True,
        "merge_whitelist_usernames": [USERS[1], SPEAKER],
    }
    admin, where = administrator(place), f"/repos/{ENVIRONMENTS}/branch_protections"
    if admin.call("POST", where, rule, accept=(403, 422)) in (403, 422):
        admin.call("PATCH", f"{where}/main", rule)


def url(repository: str) -> str:
    return f"{URL}/{repository}.git"


def credentials(place: Place, bot: str) -> str:
    """The account's password, as git's credential store has it."""
    scheme, _, host = URL.partition("://")
    return f"{scheme}://{bot}:{forge_as(place, bot).password}@{host}\n"


def token(place: Place, bot: str) -> str:
    """What that account speaks to the forge's API with."""

    def make() -> str:
        speaker, where = forge_as(place, bot), f"/users/{bot}/tokens"
        # One whose words were lost by a kill is of no use.
        speaker.call("DELETE", f"{where}/slipway", accept=(404,))
        return str(speaker.call("POST", where, {"name": "slipway", "scopes": _SCOPES[bot]})["sha1"])

    return remembered(place, f"forge/token/{bot}", make)


def hooks(place: Place, repository: str, *to: str) -> None:
    """Tell these and nobody else of every push, signed; twice is once.

    The forge tells one after another, and each that is gone costs the others its timeout of 5 s.
    """
    admin, where = administrator(place), f"/repos/{repository}/hooks"
    there = {one["config"]["url"]: one["id"] for one in _hooks(admin, where)}
    for url in to:
        config = {"url": url, "content_type": "json", "secret": remembered(place, "webhook")}
        wanted: dict[str, Any] = {"type": "gitea", "config": config, "events": ["push"], "active": True}
        if url in there:
            admin.call("PATCH", f"{where}/{there[url]}", wanted)
        else:
            admin.call("POST", where, wanted)
    for url in there.keys() - set(to):
        admin.call("DELETE", f"{where}/{there[url]}", accept=(404,))


def _hooks(admin: Forge, where: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = admin.call("GET", where)
    return found
