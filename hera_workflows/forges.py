"""Which forge do a step's flags and FORGE_TOKEN name?"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

if TYPE_CHECKING:
    from gitops.forge import Forge

__all__ = ["ForgeFlags", "forge_options"]


@dataclass(frozen=True, slots=True)
class ForgeFlags:
    """Where the repositories lie, and where people see workflows."""

    kind: str  # "none" where there is no forge
    url: str
    source_project: str  # OWNER/NAME
    env_project: str
    argo_url: str  # the page of this installation's workflows; "" for none

    def source(self) -> Forge | None:
        """The repository that is pushed to; None without a forge. Raises Misconfigured."""
        return self._open(self.source_project)

    def environments(self) -> Forge | None:
        """The environment repository; None without a forge. Raises Misconfigured."""
        return self._open(self.env_project)

    def page(self, run: str) -> str:
        """A workflow's page in the Argo UI; "" without one."""
        return f"{self.argo_url.rstrip('/')}/{run}" if self.argo_url else ""

    def report(self, run: str, node: str) -> str:
        """The report that a node of a workflow left, as argo-server serves it; "" without one."""
        server, _, namespace = self.argo_url.rstrip("/").rpartition("/workflows/")
        words = quote(f"{namespace}/workflows/{run}/{node}")
        return f"{server}/artifact-files/{words}/outputs/report" if server else ""

    def commit(self, commit: str) -> str:
        """The page of a commit of the repository that is pushed to."""
        return f"{self.url.rstrip('/')}/{self.source_project}/{'-/' if self.kind == 'gitlab' else ''}commit/{commit}"

    def _open(self, project: str) -> Forge | None:
        if self.kind == "none":
            return None
        from gitops.forge.open import open_forge

        return open_forge(self.kind, self.url, project, os.environ.get("FORGE_TOKEN", ""))


def forge_options(command: Callable[..., None]) -> Callable[..., None]:
    """The flags of a step that speaks with the forge; the step gets them as `forge`."""

    @wraps(command)
    def with_forge(
        forge: str, forge_url: str, source_project: str, env_project: str, argo_url: str, **others: Any
    ) -> None:
        command(forge=ForgeFlags(forge, forge_url, source_project, env_project, argo_url), **others)

    kinds = click.Choice(["none", "github", "gitlab", "gitea"])
    for option in (
        click.option("--argo-url", default="", help="Argo's page of our workflows: https://HOST/workflows/NAMESPACE."),
        click.option("--env-project", default="", help="The environment repository on the forge: OWNER/NAME."),
        click.option("--source-project", default="", help="The repository that is pushed to: OWNER/NAME."),
        click.option("--forge-url", default="", help="The forge: https://HOST."),
        click.option("--forge", type=kinds, default="none", show_default=True, help="Its kind; FORGE_TOKEN speaks."),
    ):
        with_forge = option(with_forge)
    return with_forge
