"""May the token that speaks of the source repository do that, and is it kept from the environments?"""

from __future__ import annotations

from collections.abc import Iterator

from hera_workflows.doctor.finding import Finding, missing, note, ok
from hera_workflows.doctor.installation import Installation
from hera_workflows.doctor.repositories import heads
from slipway.errors import SlipwayError, TryAgain

__all__ = ["check", "judge"]


def check(installation: Installation) -> Iterator[Finding]:
    """One finding; it reads statuses, and writes none."""
    from gitops.forge.open import open_forge

    values = installation.values
    kind, url, name = values.forge.kind, values.forge.url, values.secrets.forge_source
    token = (installation.secret(values.namespace, name) or {}).get("token", b"").decode(errors="replace")
    with installation.git_credentials(values.secrets.git_read):
        pushed = (heads(values.source_repo)[0] or {}).get(values.source_branch)
        released = (heads(values.env_repo)[0] or {}).get("main")
    subject = f"{kind} at {url} for {values.forge.source_project}"
    try:
        forge = open_forge(kind, url, values.forge.source_project, token)
        user = forge.user()
        if pushed:
            forge.statuses(pushed)
    except SlipwayError as error:
        yield missing(subject, str(error), f"correct `forge` in the values, or the token in {name}")
        return
    try:
        if released:
            open_forge(kind, url, values.forge.env_project, token).statuses(released)
        beyond = bool(released)
    except TryAgain:
        raise
    except SlipwayError:
        beyond = False
    yield judge(subject, user, values.forge.env_project if beyond else None)


def judge(subject: str, user: str, beyond: str | None) -> Finding:
    """user: whose token it is; beyond: the environments' project when the token reads it."""
    if beyond is not None:
        return note(
            subject,
            f"knows the token as {user}, and shows it {beyond}",
            f"see that it may not write there, where it could release; its account needs nothing of {beyond}",
        )
    return ok(subject, f"knows the token as {user}")
