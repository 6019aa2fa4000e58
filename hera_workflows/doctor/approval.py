"""Does the forge know slipway's users, and does it ask a person before anything is merged into production?"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from gitops.forge import Allowed, Forge, Protection
from hera_workflows.doctor.finding import Finding, missing, note, ok
from hera_workflows.doctor.installation import Installation
from slipway.errors import SlipwayError

__all__ = ["check", "judge_protection", "judge_pushers", "judge_source", "login"]

_WRITER = "the user of the credential that writes"


def check(installation: Installation) -> Iterator[Finding]:
    """A finding for each token, and one or two for the branch protection of the environment repository."""
    values = installation.values
    subject = f"{values.forge.kind} at {values.forge.url}"
    user: str | None = None
    try:
        forge = _speaker(installation, values.secrets.forge, values.forge.env_project)
        user, protection = forge.user(), forge.protection("main")
        yield ok(subject, f"knows the token as {user}")
    except SlipwayError as error:
        yield missing(subject, str(error), f"correct `forge` in the values, or the token in {values.secrets.forge}")
    beside = f"{subject} for {values.forge.source_project}"
    try:
        forge = _speaker(installation, values.secrets.forge_source, values.forge.source_project)
        yield judge_source(beside, forge.user(), user)
    except SlipwayError as error:
        yield missing(beside, str(error), f"correct the token in {values.secrets.forge_source}")
    if user is None:
        return
    written = (installation.secret(values.namespace, values.secrets.git_write) or {}).get("credentials", b"")
    pusher = login(written.decode(errors="replace"), values.env_repo)
    subject = f"main of {values.forge.env_project}"
    if protection and (finding := judge_pushers(subject, pusher, protection.pushers)):
        yield finding
    yield judge_protection(subject, pusher, protection)


def _speaker(installation: Installation, secret: str, project: str) -> Forge:
    from gitops.forge.open import open_forge

    values = installation.values
    token = (installation.secret(values.namespace, secret) or {}).get("token", b"").decode(errors="replace")
    return open_forge(values.forge.kind, values.forge.url, project, token)


def judge_source(subject: str, user: str, releaser: str | None) -> Finding:
    """user: whose token speaks of the source alone; releaser: who opens and merges requests, None when unknown."""
    if user == releaser:
        return note(
            subject,
            f"knows the token as {user}, who may merge releases, too",
            "see that this token may write the source's project alone, or bring one of another account",
        )
    return ok(subject, f"knows the token as {user}")


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
    merge = _who_may("merge", found.mergers)
    if found.approvals < 1:
        return note(
            subject,
            f"is protected and asks for no approval; {merge}, and that is the approval",
            "ask for one approval, if two people should agree",
        )
    return ok(subject, f"is protected; approvals needed: {found.approvals}; {merge}")


def _who_may(verb: str, found: Allowed | None) -> str:
    if found is None:
        return f"whoever the forge lets may {verb}"
    if found.everybody:
        return f"whoever may write may {verb}"
    return f"{', '.join((*found.logins, *found.others)) or 'nobody'} may {verb}"
