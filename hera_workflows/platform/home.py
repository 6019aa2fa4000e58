"""What must lie in the platform's folder before anything can run: repositories, keys, store, hooks."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hera_workflows.platform.files import write
from slipway.errors import Misconfigured, TryAgain

__all__ = ["BRANCH", "STOPPED", "clean_environment", "create", "git", "make_folder"]

BRANCH = "main"
# Exists while nobody wants the platform to run; hooks then start nothing.
STOPPED = "stopped"

_CONFIG = {
    "receive.advertisePushOptions": "true",  # git push -o nowait
    "receive.denyDeletes": "false",
    "receive.denyNonFastForwards": "false",  # people may rewrite their branches; only the env repo's main says no
    "core.logAllRefUpdates": "true",  # one reflog entry a push: the name of its workflow
    "uploadpack.allowFilter": "true",
    "uploadpack.allowAnySHA1InWant": "true",
    "gc.auto": "0",  # git gc in the middle of a push would print and take seconds
}


def make_folder(home: Path) -> None:
    """Make the folder itself, for its owner only; raises Misconfigured when it cannot be."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)
        # The folder lies inside somebody's project; `git add .` there must not pick it up.
        write(home / ".gitignore", b"*\n")
    except OSError as error:
        raise Misconfigured(f"{home} cannot be written ({error.strerror}); choose another folder with --home") from None


_UPDATE_SOURCE = """\
#!/bin/sh
[ "$1" = refs/heads/BRANCH ] && [ -n "$(printf %s "$3" | tr -d 0)" ] || exit 0
exec GUARD "$(pwd -P)" "$3"
"""
# Decisions are not rewritten; the branch of a promotion that must be judged again is.
_UPDATE = """\
#!/bin/sh
case "$1" in refs/heads/refs/*)
  echo "slipway: a branch named ${1#refs/heads/} is taken for another one by git; give it another name" >&2
  exit 1
esac
[ "$1" = refs/heads/BRANCH ] && [ -n "$(printf %s "$2" | tr -d 0)" ] || exit 0
git merge-base --is-ancestor "$2" "$3" || {
  echo "slipway: BRANCH is the record of every decision and is not rewritten; git revert what was wrong" >&2
  exit 1
}
file=envs/environments.yaml
[ "$(git rev-parse --quiet --verify "$2:$file")" = "$(git rev-parse --quiet --verify "$3:$file")" ] && exit 0
git cat-file blob "$3:$file" 2>/dev/null | GUARD
"""


def create(home: Path) -> None:
    """Fill the folder; what is there already stays. One process at a time, please."""
    from triton_repo.signing import generate_keys

    for name in ("store", "workspace", "servers", "workflows", "keys"):
        (home / name).mkdir(mode=0o700, exist_ok=True)
    secret = home / "keys" / "control.secret"
    if not secret.is_file():
        write(secret, secrets.token_hex(32).encode(), mode=0o600)
    generate_keys(home / "keys" / "signing.key", home / "keys" / "signing.pub")
    _repository(home / "source.git")
    _repository(home / "env.git")
    _hooks(home)


def clean_environment() -> dict[str, str]:
    """This process's environment without what would lead slipway or git elsewhere.

    Git tells its hooks GIT_DIR, which every later git would obey; a pusher may have ENV_REPO and the like set.
    """
    theirs = ("MODEL_STORE", "ENV_REPO", "SOURCE_REPO", "PROMETHEUS_URL", "VERIFY_KEY", "SLIPWAY_HOME")
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_") and name not in theirs}


def git(repository: Path, *arguments: str) -> str:
    """The output of a git command in that repository; raises TryAgain with git's last line when it fails."""
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments],
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise TryAgain(f"git {arguments[0]} in {repository} failed: {said[0]}")
    return done.stdout


def _repository(path: Path) -> None:
    if not (path / "HEAD").is_file():
        # Built beside its place and renamed: `git config` killed halfway leaves a lock file behind.
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        git(scratch, "init", "-q", "--bare", f"--initial-branch={BRANCH}", "--template=")
        for name, value in _CONFIG.items():
            git(scratch, "config", name, value)
        scratch.rename(path)
    for left in path.parent.glob(f".{path.name}.*"):
        shutil.rmtree(left, ignore_errors=True)


def _hooks(home: Path) -> None:
    refusal = f"slipway: the platform in {home} is stopped; run `slipway up`, then push again"
    stopped = f"if [ -e {shlex.quote(str(home / STOPPED))} ]; then echo {shlex.quote(refusal)} >&2; exit 1; fi\n"
    scripts = {
        "source.git/hooks/pre-receive": "#!/bin/sh\n" + stopped,
        "source.git/hooks/update": _UPDATE_SOURCE.replace("BRANCH", BRANCH).replace("GUARD", _command("source_guard")),
        "source.git/hooks/post-receive": _script("event", home),
        "env.git/hooks/update": _UPDATE.replace("BRANCH", BRANCH).replace("GUARD", _command("guard")),
        "env.git/hooks/post-receive": _script("environment_event", home),
    }
    for name, content in scripts.items():
        write(home / name, content.encode(), mode=0o755)


def _script(module: str, home: Path) -> str:
    return f"#!/bin/sh\nexec {_command(module, str(home))}\n"


def _command(module: str, *arguments: str) -> str:
    # The absolute interpreter and -I: whatever PATH or PYTHONPATH the pusher has, the hook runs this slipway.
    words = [sys.executable, "-I", "-m", f"hera_workflows.platform.{module}", *arguments]
    return " ".join(shlex.quote(word) for word in words)
