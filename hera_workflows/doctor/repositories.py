"""Can the repositories be read and written with the credentials that the steps have, and with no more than those?"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from gitops.git import Git, check_url
from hera_workflows.doctor.finding import Finding, missing, note, ok
from hera_workflows.doctor.installation import Installation
from slipway.errors import SlipwayError

__all__ = ["check", "heads", "judge_environments", "judge_heads", "judge_write"]

_PROBE = "refs/heads/slipway-doctor"
_IDENTITY = ("-c", "user.name=slipway", "-c", "user.email=slipway@localhost")
_SECONDS = 30.0


def check(installation: Installation) -> Iterator[Finding]:
    """Both repositories read, the environments that one of them names, and the env repo written."""
    values = installation.values
    with installation.git_credentials(values.secrets.git_read):
        yield judge_heads(values.source_repo, values.source_branch, *heads(values.source_repo))
        found, reason = heads(values.env_repo)
        yield judge_heads(values.env_repo, "main", found, reason)
    if found is None:
        return  # where reading fails, that writing does says nothing
    try:
        known = installation.snapshot.environments.environments
        yield judge_environments(values.env_repo, [each.name for each in known], values.environments)
    except SlipwayError as error:
        yield missing(f"{values.env_repo} environments", str(error), "slipway env init makes them; slipway env check")
    for secret, how, wanted in (
        (values.secrets.git_write, "written with", True),
        (values.secrets.git_read, "kept from", False),
    ):
        with installation.git_credentials(secret):
            yield judge_write(f"{values.env_repo} {how} {secret}", wanted, *_pushed(values.env_repo))


def judge_heads(url: str, branch: str, found: Collection[str] | None, reason: str) -> Finding:
    """found: the names of its branches; None when it did not answer, and why."""
    subject = f"{url} read"
    if found is None:
        return missing(
            subject, reason, "correct the URL or the Secret of its credentials; can it be reached from here?"
        )
    if branch not in found:
        return missing(subject, f"has no branch {branch}", "push one, or correct the values")
    return ok(subject, f"has branch {branch}")


def judge_environments(url: str, said: list[str], rendered: tuple[str, ...]) -> Finding:
    """Do the repository and the values name the same environments?"""
    subject = f"{url} environments"
    if set(said) == set(rendered):
        return ok(subject, ", ".join(said))
    return missing(
        subject,
        f"envs/environments.yaml names {', '.join(said)}, the values {', '.join(rendered)}",
        "correct `environments` in the values and render again, or correct envs/environments.yaml",
    )


def judge_write(subject: str, wanted: bool, pushed: bool, reason: str) -> Finding:
    """pushed: whether a push was let in; wanted: whether it should be; reason: what was said."""
    if wanted and not pushed:
        return missing(subject, reason, "let the user of that credential push, and bring a credential that is valid")
    if pushed and not wanted:
        return missing(subject, "is let in, and every step that only reads has it", "take its right to write away")
    if pushed and reason:
        return note(subject, reason, "delete that branch")
    return ok(subject, "is let in" if wanted else "is refused, as it should be")


def heads(url: str) -> tuple[dict[str, str] | None, str]:
    """A repository's branches and their commits; None when it did not answer, and why."""
    result = Git(Path("/nonexistent"), _SECONDS).ask("ls-remote", "--heads", "--", check_url(url))
    if result.status != 0:
        return None, result.reason
    lines = (line.partition("\t") for line in result.out.decode(errors="replace").splitlines())
    return {name.removeprefix("refs/heads/"): commit for commit, _, name in lines}, ""


def _pushed(url: str) -> tuple[bool, str]:
    """Push a branch of doctor's own and take it away again; whether it was let in, and what was said.

    A dry run would not do: Gitea lets whoever may read begin a push, and refuses what it then sends.
    """
    with tempfile.TemporaryDirectory() as folder:
        git = Git(Path(folder, "probe.git"), _SECONDS)
        git.run("init", "--quiet", "--bare")
        tree = git.run("hash-object", "-t", "tree", "-w", "--stdin").decode().strip()
        commit = git.run(*_IDENTITY, "commit-tree", tree, "-m", "Probe").decode().strip()
        # One name and by force: what a killed run left is replaced, and removed.
        sent = git.ask("push", "--quiet", "--", check_url(url), f"+{commit}:{_PROBE}")
        if sent.status != 0:
            return False, sent.reason
        removed = git.ask("push", "--quiet", "--", check_url(url), f":{_PROBE}")
        return True, "" if removed.status == 0 else f"{_PROBE} was left behind: {removed.reason}"
