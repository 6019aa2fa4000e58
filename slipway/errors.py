"""What can go wrong, and what the workflow engine should do about it.

Three families, told apart by the exit code of the process, because that is what a retry strategy can read.
"""

from __future__ import annotations

__all__ = ["Misconfigured", "Rejected", "SlipwayError", "TryAgain"]


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
