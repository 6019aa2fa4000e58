"""Was a commit of the source repository overtaken by another one?"""

from __future__ import annotations

from gitops.remote import MAIN, opened

__all__ = ["overtaken"]

_LOOK_BACK = 500  # commits; a server need not send the whole history for this


def overtaken(url: str, commit: str, by: str) -> bool:
    """Whether `by` was made on top of `commit` and is still on main.

    A main that was set back does not hold `by` any more: then the older commit is what people want.
    Raises TryAgain when the repository does not answer.
    """
    if commit == by:
        return False
    with opened(url) as remote:
        main = remote.branches(MAIN, depth=_LOOK_BACK).get(MAIN)
        pairs = ((commit, by), (by, main)) if main is not None else ()
        # A commit that is not there, or further back than was looked, is nobody's ancestor: status 128.
        found = [remote.git.ask("merge-base", "--is-ancestor", *pair).status == 0 for pair in pairs]
    return bool(found) and all(found)
