"""Which strings from outside may become a path, a refname, a label or a query.

Every name is checked once, here, so that no other module has to think about `..`, look-alikes or NUL bytes.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import StringConstraints

from slipway.errors import Rejected

__all__ = [
    "Commit",
    "Digest",
    "EnvironmentName",
    "ModelName",
    "check_commit",
    "check_digest",
    "check_environment",
    "check_model",
    "check_number",
]

MODEL = r"^[a-z0-9][a-z0-9_-]{0,62}$"
ENVIRONMENT = r"^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$"
DIGEST = r"^sha256:[0-9a-f]{64}$"
COMMIT = r"^[0-9a-f]{40}([0-9a-f]{24})?$"
# Triton dies on a version directory of 20 digits, so a number has 18 at most.
NUMBER = r"^[1-9][0-9]{0,17}$"

ModelName = Annotated[str, StringConstraints(pattern=MODEL)]
EnvironmentName = Annotated[str, StringConstraints(pattern=ENVIRONMENT)]
Digest = Annotated[str, StringConstraints(pattern=DIGEST)]
Commit = Annotated[str, StringConstraints(pattern=COMMIT)]


def _check(pattern: str, text: str, what: str, rule: str) -> str:
    # re.ASCII and fullmatch: "$" alone would let a trailing newline through.
    if not isinstance(text, str) or not re.fullmatch(pattern.strip("^$"), text, re.ASCII):
        # ascii, not repr: a look-alike shown as it is would read like the very name that is asked for.
        shown = ascii(text if len(str(text)) <= 80 else str(text)[:77] + "...")
        raise Rejected(f"{shown} is not {what}; {rule}")
    return text


def check_model(text: str) -> str:
    """Return text if it is a Triton model name that is safe as a directory and as a refname; else raise Rejected."""
    return _check(MODEL, text, "a model name", "use 1 to 63 of a-z, 0-9, _ and -, starting with a letter or digit")


def check_environment(text: str) -> str:
    """Return text if it is an environment's name (a DNS label of at most 30); else raise Rejected."""
    return _check(ENVIRONMENT, text, "an environment name", "use 1 to 30 of a-z, 0-9 and -, starting with a letter")


def check_digest(text: str) -> str:
    """Return text if it is `sha256:` and 64 hexadecimal digits; else raise Rejected."""
    return _check(DIGEST, text, "a digest", "it is sha256: followed by 64 lower-case hexadecimal digits")


def check_commit(text: str) -> str:
    """Return text if it is a full commit id; else raise Rejected."""
    return _check(COMMIT, text, "a commit", "give the full 40 hexadecimal digits")


def check_number(text: str | int) -> int:
    """Return the version number that text spells, in [1, 10**18); else raise Rejected."""
    return int(_check(NUMBER, str(text), "a version number", "use a whole number from 1, at most 18 digits"))
