"""The source tree at one commit, as files."""

from __future__ import annotations

import shutil
from pathlib import Path

from slipway.errors import Misconfigured, Rejected, TryAgain
from slipway.names import check_commit

__all__ = ["check_out"]


def check_out(url: str, commit: str, folder: Path) -> None:
    """Put the files of `commit` into `folder`, which is replaced; history is not fetched where the server allows it.

    Raises TryAgain when the repository cannot be reached, Rejected when it has no such commit.
    """
    import git

    check_commit(commit)
    if not url or url.startswith("-"):
        raise Misconfigured(f"source repository {url[:80]!r} is not a path or URL; set --source-repo")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = git.Git(folder)
    # No hook of a template and no configuration of the user may run here.
    command.update_environment(GIT_TERMINAL_PROMPT="0", GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null")
    command.init("--quiet", "--template=")
    try:
        # A server may refuse to name single commits; all its branches always can be had.
        if _fetch(command, "--depth=1", url, commit) is not None and (
            problem := _fetch(command, url, "refs/heads/*:refs/remotes/origin/*")
        ):
            raise TryAgain(f"{url} cannot be fetched ({problem}); see that the repository is there and reachable")
        command.checkout("--quiet", "--detach", commit, "--")
    except git.GitCommandError:
        raise Rejected(f"{url} has no commit {commit}; push it, or give another --commit") from None
    shutil.rmtree(folder / ".git")


def _fetch(command: object, *arguments: str) -> str | None:
    import git

    assert isinstance(command, git.Git)
    try:
        command.fetch("--quiet", "--no-tags", "--no-write-fetch-head", "--end-of-options", *arguments)
    except git.GitCommandError as error:
        lines = [line.strip() for line in str(error.stderr).splitlines() if line.strip()]
        return lines[-1].strip("'")[:200] if lines else f"git ended with {error.status}"
    return None
