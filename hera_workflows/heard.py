"""Which pushes has slipway heard of, and which has it planned? The statuses of each pushed commit say it.

plan leaves them, else the run's end. A push that broke or was refused as a whole was not planned: the next one brings
the models that it changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hera_workflows.source_status import was_heard, was_planned, was_tried

if TYPE_CHECKING:
    from gitops.forge import Forge
    from gitops.remote import Remote

__all__ = ["FAR_BACK", "LOOK_BACK", "newest_heard", "planned_before"]

LOOK_BACK = 50  # commits; each is a question to the forge, asked every few minutes while nobody has pushed yet
FAR_BACK = (
    500  # the same of a push, which asks again only where those before it came to nothing, or a long branch came in
)


def newest_heard(remote: Remote, source: Forge, commit: str) -> str | None:
    """The newest of a commit and those before it whose push was heard of; None when none of the last 50 was.

    The commits can be read. Raises what the forge raises.
    """
    return next((each for each in _commits(remote, commit, LOOK_BACK) if was_heard(source.statuses(each))), None)


def planned_before(remote: Remote, source: Forge, before: str) -> str | None:
    """What a push that followed `before` is compared with: the newest commit up to `before` that was planned.

    Zeros where the very first pushes broke or were refused, and every model is new. None where nobody can say: slipway
    never heard of a push there, or none of the last 500 commits was planned.
    """
    commits, tried = _commits(remote, before, FAR_BACK), False
    for commit in commits:
        statuses = source.statuses(commit)
        if was_planned(statuses):
            return commit
        tried = tried or was_tried(statuses)
    return "0" * len(before) if tried and len(commits) < FAR_BACK else None


def _commits(remote: Remote, newest: str, count: int) -> list[str]:
    return remote.git.run("rev-list", f"--max-count={count}", newest, "--").decode().split()
