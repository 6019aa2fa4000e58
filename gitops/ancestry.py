"""Was a commit of the source repository overtaken by another one?"""

from __future__ import annotations

from gitops.remote import opened

__all__ = ["overtaken"]

_LOOK_BACK = 500  # commits; a server need not send the whole history for this


def overtaken(url: str, commit: str, by: str, branch: str = "main") -> bool:
    """Whether `by` was made on top of `commit` and is still on the branch.

    A branch that was set back does not hold `by` any more: then the older commit is what people want.
    Raises TryAgain when the repository does not answer.
    """
    if commit == by:
        return False
    with opened(url) as remote:
        ref = f"refs/heads/{branch}"
        head = remote.branches(ref, depth=_LOOK_BACK).get(ref)
        pairs = ((commit, by), (by, head)) if head is not None else ()
        # A commit that is not there, or further back than was looked, is nobody's ancestor: status 128.
        found = [remote.git.ask("merge-base", "--is-ancestor", *pair).status == 0 for pair in pairs]
    return bool(found) and all(found)
