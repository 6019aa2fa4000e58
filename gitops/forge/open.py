"""Which adapter speaks to this installation's forge?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gitops.forge import KINDS, Forge
from slipway.errors import Misconfigured

if TYPE_CHECKING:
    from gitops.forge.api import Api

__all__ = ["open_forge"]

# GitLab's projects may lie in groups of groups; no part may climb out of the URL that it becomes a part of.
_PART = r"(?!\.{1,2}/|\.{1,2}$)[A-Za-z0-9_.-]{1,100}"


def open_forge(kind: str, url: str, project: str, token: str) -> Forge:
    """The forge at `url` (https://host, for GitHub https://github.com or an Enterprise Server) for one project.

    project: OWNER/NAME, on GitLab GROUP/…/NAME. Nothing is asked of the forge yet. Raises Misconfigured.
    """
    from gitops.forge.repository import ForgeRepository

    if kind not in KINDS:
        raise Misconfigured(f"{kind[:80]!r} is not a forge; set --forge to one of {', '.join(KINDS)}, or to none")
    if not re.fullmatch(r"https?://[A-Za-z0-9.\[\]:_-]+(/[A-Za-z0-9._~/-]*)?", url, re.ASCII):
        raise Misconfigured("--forge-url is not the URL of a forge; set it to https://HOST, without a user in it")
    parts = f"{_PART}(/{_PART}){{1,20}}" if kind == "gitlab" else f"{_PART}/{_PART}"
    if not re.fullmatch(parts, project, re.ASCII):
        raise Misconfigured(f"{project[:120]!r} is not a project of the forge; write it as OWNER/NAME")
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise Misconfigured("FORGE_TOKEN is unset or not one word on one line; set it to a token of slipway's user")
    return ForgeRepository(_api(kind, url.rstrip("/"), project, token))


def _api(kind: str, url: str, project: str, token: str) -> Api:
    # The clients are heavy; only the one that is used is imported.
    if kind == "github":
        from gitops.forge.github import GitHubApi

        return GitHubApi(url, project, token)
    if kind == "gitlab":
        from gitops.forge.gitlab import GitLabApi

        return GitLabApi(url, project, token)
    from gitops.forge.gitea import GiteaApi

    return GiteaApi(url, project, token)
