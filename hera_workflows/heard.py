"""Which pushes has slipway heard of, and which has it planned? The statuses of each pushed commit say it.

plan leaves them, else the run's end. A push that was refused as a whole was heard of and is not delivered again; the
next one brings the models that it changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from hera_workflows.source_status import was_heard, was_planned

if TYPE_CHECKING:
    from gitops.forge import CommitStatus, Forge
    from gitops.remote import Remote

__all__ = ["LOOK_BACK", "newest_heard", "newest_planned"]

LOOK_BACK = 50  # commits; each is a question to the forge


def newest_heard(remote: Remote, source: Forge, commit: str) -> str | None:
    """The newest of a commit and those before it whose push was heard of; None when none of the last 50 was.

    The commits can be read. Raises what the forge raises.
    """
    return _newest(remote, source, commit, was_heard)


def newest_planned(remote: Remote, source: Forge, commit: str) -> str | None:
    """As newest_heard, without the pushes that were refused as a whole."""
    return _newest(remote, source, commit, was_planned)


def _newest(
    remote: Remote, source: Forge, commit: str, counts: Callable[[Mapping[str, CommitStatus]], bool]
) -> str | None:
    commits = remote.git.run("rev-list", f"--max-count={LOOK_BACK}", commit, "--").decode().split()
    return next((each for each in commits if counts(source.statuses(each))), None)
