"""Which pushes has slipway heard of? The status on each pushed commit says it; plan leaves it, else the run's end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hera_workflows.source_status import was_heard

if TYPE_CHECKING:
    from gitops.forge import Forge
    from gitops.remote import Remote

__all__ = ["LOOK_BACK", "newest_heard"]

LOOK_BACK = 50  # commits; each is a question to the forge


def newest_heard(remote: Remote, source: Forge, commit: str) -> str | None:
    """The newest of a commit and those before it whose push was heard of; None when none of the last 50 was.

    The commits can be read. Raises what the forge raises.
    """
    commits = remote.git.run("rev-list", f"--max-count={LOOK_BACK}", commit, "--").decode().split()
    return next((each for each in commits if was_heard(source.statuses(each))), None)
