"""Run one git command, safely: no shell, no prompt, no hook, no surprise from the caller's environment.

Commands run through subprocess and not through GitPython: that takes 0.15 s to import, more than `slipway status` may
take in all, cannot unset GIT_DIR (which git sets in hooks, where the platform runs), and takes standard input from
files only.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from slipway.errors import Misconfigured, Rejected, TryAgain

__all__ = ["Git", "Result", "check_url", "commit_time"]

# What a caller may set to reach its server; every other GIT_ variable (GIT_DIR in a hook) would mislead us.
_KEPT = (
    "GIT_SSH", "GIT_ASKPASS", "GIT_CREDENTIALS", "GIT_SSL_", "GIT_PROXY_", "GIT_HTTP_", "GIT_EXEC_PATH",
    "GIT_CONFIG_GLOBAL",
)  # fmt: skip
_TRANSPORTS = ("file", "ssh", "https", "http", "git")
_CONFIG = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "push.gpgSign": "false",
    "fastimport.unpackLimit": "0",
    # `ext::` and every other helper that runs a command named in a URL.
    "protocol.allow": "never",
    **{f"protocol.{name}.allow": "always" for name in _TRANSPORTS},
}
# Where GIT_CREDENTIALS names a file in the format of git's credential store, that file is the only source of passwords.
# It is read and never written: `store` alone would put what worked into it, and remove what a server once refused.
_HELPER = '!read_only() { test "$1" = get && git credential-store --file "$GIT_CREDENTIALS" get; }; read_only'


@dataclass(frozen=True, slots=True)
class Result:
    """What a command answered; decide by `status` and `out`, show `reason` to people only."""

    status: int
    out: bytes
    reason: str  # the end of standard error, for messages, never for decisions


@dataclass(frozen=True, slots=True)
class Git:
    """Git commands on one repository."""

    folder: Path  # the git directory
    timeout: float = 120.0  # seconds a command may take

    def ask(self, *arguments: str, stdin: bytes = b"", dies_with_us: bool = False) -> Result:
        """Run `git ARGUMENTS` whatever its exit status; raises TryAgain when it takes too long.

        dies_with_us: for what writes outside of the repository, where it would meet the next one if we are killed.
        """
        before = _dying() if dies_with_us else ()
        return self._ended([f"--git-dir={self.folder}", *arguments], stdin, _environment() | _configuration(), before)

    def receive(self, request: bytes) -> Result:
        """Have `git receive-pack` take a push, with the repository's own configuration and hooks."""
        return self._ended(["receive-pack", str(self.folder)], request, _environment())

    def _ended(
        self, arguments: list[str], stdin: bytes, environment: dict[str, str], before: tuple[str, ...] = ()
    ) -> Result:
        name = next(word for word in arguments if not word.startswith("-"))
        try:
            process = subprocess.Popen(
                [*before, "git", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,  # no terminal to prompt on; one group to kill
            )
        except FileNotFoundError:
            raise Misconfigured("git is not on PATH; install git 2.36 or newer") from None
        try:
            out, err = process.communicate(stdin, timeout=self.timeout)
        except subprocess.TimeoutExpired:
            raise TryAgain(f"git {name} took more than {self.timeout:g} s in {self.folder}; try again later") from None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        lines = err.decode(errors="replace").strip().splitlines()
        return Result(process.returncode, out, "; ".join(lines[-2:])[:300] or f"exit status {process.returncode}")

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """The output of a command that must succeed; raises TryAgain when it does not."""
        result = self.ask(*arguments, stdin=stdin)
        if result.status != 0:
            raise TryAgain(f"git {arguments[0]} failed in {self.folder}: {result.reason}; try again")
        return result.out


def check_url(url: str) -> str:
    """Return a repository's path or URL if git can take it as one argument; else raise Rejected.

    Raises Misconfigured for a transport that is not to be used, such as one that runs a command.
    """
    if not url or url.startswith("-") or not url.isprintable():
        raise Rejected(f"{url[:80]!r} is not a repository; give a folder or a URL such as https://host/env.git")
    transport = re.match(r"([A-Za-z0-9+.-]+):(//|:)", url)
    if transport and (transport[1] not in _TRANSPORTS or transport[2] == ":"):
        raise Misconfigured(f"{url[:80]!r}: {transport[1]} is not a transport for git here; use https or ssh")
    return url


def commit_time(seconds: str) -> datetime:
    """The time of git's `%ct`; whoever commits may write any number there, so the year ends at 9999."""
    return datetime.fromtimestamp(min(int(seconds), 253402300799), UTC)


@cache
def _dying() -> tuple[str, ...]:
    """What a command begins with so that the kernel kills it when its caller dies; nothing where that cannot be had."""
    words = ("setpriv", "--pdeathsig", "KILL", "--")
    try:
        return words if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0 else ()
    except OSError:
        return ()


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k.startswith(_KEPT)}
    return kept | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}


def _configuration() -> dict[str, str]:
    settings = [*_CONFIG.items()]
    if os.environ.get("GIT_CREDENTIALS"):
        settings += [("credential.helper", ""), ("credential.helper", _HELPER)]  # the empty one forgets the user's own
    config = {"GIT_CONFIG_COUNT": str(len(settings))}
    for index, (key, value) in enumerate(settings):
        config |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return config | {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_OPTIONAL_LOCKS": "0", "GIT_LITERAL_PATHSPECS": "1"}
