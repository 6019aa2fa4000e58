"""Who decides, when a person runs a command?"""

from __future__ import annotations

import getpass
from pathlib import Path

__all__ = ["who"]


def who() -> str:
    """user.name of the person's git settings, else the login."""
    from gitops.git import Git

    # No repository is named, so only the user's own settings count.
    name = Git(Path("/nonexistent")).ask("config", "user.name").out.decode(errors="replace").strip()
    try:
        return name or getpass.getuser()
    except (OSError, KeyError):  # without a name for this uid: OSError from Python 3.13 on
        return "somebody"
