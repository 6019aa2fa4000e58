"""What can go wrong, and what the workflow engine should do about it.

Three families, told apart by the exit code of the process, because that is what a retry strategy can read.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["Misconfigured", "Rejected", "SlipwayError", "TryAgain", "first_problem", "of_disk"]


class SlipwayError(Exception):
    """The base of the three families; its text is one line that says what, where, and what to do."""

    exit_code = 1


class TryAgain(SlipwayError):
    """The outside world was unavailable; the same call may succeed later (EX_TEMPFAIL)."""

    exit_code = 75


class Rejected(SlipwayError):
    """The input or the model was judged and refused; the same call will be refused again (EX_DATAERR)."""

    exit_code = 65


class Misconfigured(SlipwayError):
    """A person must change a setting before any call can succeed (EX_CONFIG)."""

    exit_code = 78


def first_problem(error: ValidationError) -> str:
    """The first thing that a pydantic model refuses: `place.in.it: what`."""
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "content"
    return f"{place}: {first['msg'].removeprefix('Value error, ')}"


def of_disk(error: OSError) -> SlipwayError | None:
    """What to tell people of a full disk or of one that may not be written; None for any other error."""
    where = f"{error.filename or 'what this command writes to'}: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TryAgain(f"{where}; make room there, then run the same command again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return Misconfigured(f"{where}; give this account access there, or choose another place")
    return None
