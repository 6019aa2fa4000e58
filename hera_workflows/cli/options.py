"""What do several commands take alike?"""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["BY", "JSON", "env_repo"]

BY = click.option("--by", help="Who decides; else user.name of your git settings, else your login.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def env_repo(home: Path | None) -> str:
    """The environment repository of ENV_REPO, or of the platform here; raises Misconfigured without one."""
    from hera_workflows.settings import settings

    return settings(home).need("env_repo")
