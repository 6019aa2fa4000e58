"""What a machine commit says about itself: trailers that parse back to the value they were made from."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Literal, get_args

from slipway.errors import Rejected
from slipway.names import check_commit, check_digest, check_environment, check_model, check_number
from slipway.version import ModelVersion

__all__ = ["Action", "Operation", "parse_message", "render_message"]

Action = Literal["bump", "promote", "rollback", "retire", "hold", "release-hold", "freeze", "unfreeze", "seed"]
_ACTIONS: tuple[Action, ...] = get_args(Action)
_TRAILER = re.compile(r"([A-Z][A-Za-z-]{1,40}): (.*)")
_WORD = r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}"


@dataclass(frozen=True, slots=True)
class Operation:
    """One decision, as recorded in the commit that carries it out."""

    id: str  # unique to the decision, so that a lost acknowledgement can find its own commit
    action: Action
    environment: str
    version: ModelVersion | None = None  # None: the operation concerns the whole environment
    source_commit: str | None = None  # of the model's code
    run: str | None = None  # the workflow that decided
    source_env_commit: str | None = None  # the env repo's commit that was judged
    rollback_of: str | None = None  # the env repo's commit that is undone
    verdict: str | None = None
    approved_by: str | None = None

    def __post_init__(self) -> None:
        if self.action not in _ACTIONS:
            raise Rejected(f"{self.action!r} is not an action; use one of {', '.join(_ACTIONS)}")
        check_environment(self.environment)
        for commit in (self.source_commit, self.source_env_commit, self.rollback_of):
            if commit is not None:
                check_commit(commit)
        for name in ("id", "run", "verdict"):
            value = getattr(self, name)
            if value is not None and not re.fullmatch(_WORD, value, re.ASCII):
                raise Rejected(f"{name} {value[:80]!r} is not one word of letters, digits and ._:/@+-")
        if self.approved_by is not None and (not self.approved_by.strip() or not self.approved_by.isprintable()):
            raise Rejected(f"approved_by {self.approved_by[:80]!r} is not one printable line")
        if self.approved_by is not None and self.approved_by != self.approved_by.strip():
            raise Rejected(f"approved_by {self.approved_by[:80]!r} begins or ends with white space")


_TRAILERS = {
    "id": "Operation-Id",
    "action": "Action",
    "environment": "Environment",
    "source_commit": "Source-Commit",
    "run": "Run",
    "source_env_commit": "Source-Env-Commit",
    "rollback_of": "Rollback-Of",
    "verdict": "Verdict",
    "approved_by": "Approved-By",
}


def render_message(subject: str, operation: Operation, body: str = "") -> str:
    """A commit message: the subject, free text, and the trailers as its last paragraph."""
    if not subject.strip() or "\n" in subject:
        raise Rejected(f"commit subject {subject[:80]!r} is not one line")
    lines = [f"{_TRAILERS['id']}: {operation.id}", f"{_TRAILERS['action']}: {operation.action}"]
    lines.append(f"{_TRAILERS['environment']}: {operation.environment}")
    if operation.version is not None:
        version = operation.version
        lines += [f"Model: {version.name}", f"Version: {version.number}", f"Digest: {version.digest}"]
    for field in fields(operation):
        value = getattr(operation, field.name)
        if field.name not in ("id", "action", "environment", "version") and value is not None:
            lines.append(f"{_TRAILERS[field.name]}: {value}")
    # A blank last line keeps trailer-like text of the body out of the last paragraph.
    return "\n\n".join(part for part in (subject.strip(), body.strip(), "\n".join(lines)) if part) + "\n"


def parse_message(message: str) -> Operation | None:
    """The operation that a commit message records; None for a person's commit.

    Raises Rejected when the last paragraph claims to be ours (it is trailers, with an Operation-Id) but does not parse.
    """
    paragraphs = message.rstrip("\n").split("\n\n")
    lines = paragraphs[-1].split("\n") if len(paragraphs) > 1 else []
    matches = [_TRAILER.fullmatch(line) for line in lines]
    trailers = [(match[1], match[2]) for match in matches if match]
    if "Operation-Id" not in dict(trailers) or len(trailers) != len(lines):
        return None
    values = dict(trailers)
    if len(values) != len(trailers):
        raise Rejected("a trailer stands twice in the commit message; do not edit machine commits")
    try:
        version = None
        if "Model" in values:
            version = ModelVersion(
                check_model(values.pop("Model")),
                check_number(values.pop("Version")),
                check_digest(values.pop("Digest")),
            )
        named = {field: values.pop(trailer) for field, trailer in _TRAILERS.items() if trailer in values}
        return Operation(version=version, **named)  # type: ignore[arg-type]
    except (KeyError, TypeError) as error:
        raise Rejected(f"the commit message lacks the trailer {error}; do not edit machine commits") from None
