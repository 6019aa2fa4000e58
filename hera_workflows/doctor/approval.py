"""Does the forge know slipway's user, and does it ask a person before anything is merged into production?"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from gitops.forge import Allowed, Protection
from hera_workflows.doctor.finding import Finding, missing, note, ok
from hera_workflows.doctor.installation import Installation
from slipway.errors import SlipwayError

__all__ = ["check", "judge_protection", "judge_pushers", "login"]

_WRITER = "the user of the credential that writes"


def check(installation: Installation) -> Iterator[Finding]:
    """A finding for the token, and one or two for the branch protection of the environment repository."""
    from gitops.forge.open import open_forge

    values = installation.values
    secret = installation.secret(values.namespace, values.secrets.forge) or {}
    token = secret.get("token", b"").decode(errors="replace")
    subject = f"{values.forge.kind} at {values.forge.url}"
    try:
        forge = open_forge(values.forge.kind, values.forge.url, values.forge.env_project, token)
        user, protection = forge.user(), forge.protection("main")
    except SlipwayError as error:
        yield missing(subject, str(error), f"correct `forge` in the values, or the token in {values.secrets.forge}")
        return
    yield ok(subject, f"knows the token as {user}")
    written = (installation.secret(values.namespace, values.secrets.git_write) or {}).get("credentials", b"")
    pusher = login(written.decode(errors="replace"), values.env_repo)
    subject = f"main of {values.forge.env_project}"
    if protection and (finding := judge_pushers(subject, pusher, protection.pushers)):
        yield finding
    yield judge_protection(subject, pusher, protection)


def login(credentials: str, url: str) -> str | None:
    """Who a line of git's credential store, scheme://USER:PASSWORD@HOST, is for that repository; None without one."""
    host = urlsplit(url).netloc.rpartition("@")[2]
    for line in credentials.splitlines():
        try:
            where = urlsplit(line.strip())
        except ValueError:  # whose text holds the line, and so a password
            continue
        if where.username and where.netloc.endswith(f"@{host}"):
            return unquote(where.username)
    return None


def judge_pushers(subject: str, pusher: str | None, found: Allowed | None) -> Finding | None:
    """pusher: who writes releases of the first environment; found: None when it cannot be seen."""
    who = pusher or _WRITER
    if found is None:
        return note(
            subject,
            "does not show the token who may push",
            f"see that {who} alone may: a push asks nobody for approval",
        )
    if found.everybody:
        return missing(
            subject,
            "lets whoever may write push, and so release to production without a request",
            f"let {who} alone push",
        )
    beside = [*(login for login in found.logins if login != pusher), *found.others]
    if pusher in found.logins:
        if not beside:
            return None
        return note(
            subject, f"lets {', '.join(beside)} push, too: a push asks nobody for approval", f"let {who} alone push"
        )
    if not found.others:
        return missing(
            subject,
            f"does not let {pusher} push",
            f"let {pusher} push without a request: it writes the first environment",
        )
    return note(
        subject,
        f"lets {', '.join(found.others)} push; whether {pusher} is one of them cannot be seen from here",
        f"see that {pusher} is: it writes the first environment",
    )


def judge_protection(subject: str, pusher: str | None, found: Protection | None) -> Finding:
    """pusher: who writes releases of the first environment; found: None when everybody may who can write."""
    who = pusher or _WRITER
    if found is None:
        return missing(
            subject,
            "is not protected: whoever may write can release to production",
            f"protect it: pushes by {who} alone, merges by whoever may approve",
        )
    merging = _who_may_merge(found.mergers)
    if found.approvals < 1:
        return note(
            subject,
            f"is protected and asks for no approval, so merging is the approval; {merging}",
            "ask for one approval, if two people should agree",
        )
    return ok(subject, f"is protected; approvals needed: {found.approvals}; {merging}")


def _who_may_merge(found: Allowed | None) -> str:
    if found is None:
        return "it does not show the token who may merge"
    if found.everybody:
        return "whoever may write may merge"
    return f"{', '.join((*found.logins, *found.others)) or 'nobody'} may merge"
