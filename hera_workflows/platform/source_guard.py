"""May this commit become main's of the models?

Called by the update hook of source.git: `python -m hera_workflows.platform.source_guard REPOSITORY COMMIT`. What would
be refused as a whole is not taken: it would hide what else the push changed from the next one.
"""

from __future__ import annotations

import sys

from gitops.remote import opened
from hera_workflows.pushed import check_push
from slipway.errors import SlipwayError

__all__: list[str] = []

if __name__ == "__main__":
    try:
        with opened(sys.argv[1]) as remote:
            check_push(remote, sys.argv[2])
    except SlipwayError as error:
        print(f"slipway: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
