"""May this environments.yaml become main's?

Called by the update hook of env.git with the file on standard input: `python -m hera_workflows.platform.guard`. Every
command reads that file first, so a broken one would stop them all.
"""

from __future__ import annotations

import sys

from gitops.environment_repo import parse_environments
from slipway.errors import SlipwayError

__all__: list[str] = []

if __name__ == "__main__":
    try:
        # Nothing at all is what the hook hands over when the push removes the file.
        parse_environments(sys.stdin.buffer.read() or None, "envs/environments.yaml")
    except SlipwayError as error:
        print(f"slipway: {error}; what is there now stays", file=sys.stderr)
        sys.exit(error.exit_code)
