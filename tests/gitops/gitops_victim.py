"""A write to an environment repository that kills itself: python gitops_victim.py REPO WHAT POINT."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from env_world import World, version

from gitops.approvals import approve
from gitops.retire import retire
from gitops.rollback import rollback


def act(world: World, what: str, at: Callable[[str], None]) -> None:
    now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    if what == "bump":
        world.bump(3, at=at)
    elif what == "propose":
        world.propose(2, at=at)
    elif what == "approve":
        approve(world.url, "production", "digits", by="Ann", now=now, at=at)
    elif what == "rollback":
        rollback(world.url, "staging", "digits", now=now, reason="bad", operation_id="rb", expected=version(2), at=at)
    elif what == "retire":
        retire(world.url, "staging", "digits", operation_id="retire", at=at)
    else:
        raise SystemExit(f"no such write: {what}")


if __name__ == "__main__":
    repo, what, fatal = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

    def at(point: str) -> None:
        if point == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    act(World(repo, str(repo), repo.parent), what, at)
