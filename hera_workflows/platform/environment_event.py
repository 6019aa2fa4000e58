"""What does a push to the environment repository change in what is served?

The post-receive hook of env.git: `python -m hera_workflows.platform.environment_event HOME`, with git's `old new ref`
lines on standard input. It reconciles each environment whose folder changed, before the push returns.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hera_workflows.platform.home import BRANCH, STOPPED, git
from hera_workflows.platform.pushes import Push, parse_push
from hera_workflows.platform.reconcile import Reconciled, reconcile
from hera_workflows.settings import Platform, read_platform
from slipway.errors import SlipwayError

__all__ = ["changed_environments", "changed_paths", "describe", "main"]

_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def changed_paths(platform: Platform, push: Push) -> list[str]:
    """The files that a push changed."""
    before = push.before if push.before.strip("0") else _EMPTY_TREE
    listed = git(platform.env_repo, "diff", "--name-only", "-z", "--no-renames", before, push.after, "--")
    return listed.split("\0")[:-1]


def changed_environments(platform: Platform, paths: list[str]) -> list[str]:
    """The environments with a server here in whose folder some of the paths lie."""
    touched = {path.split("/")[1] for path in paths if path.startswith("envs/") and path.count("/") >= 2}
    return [server.environment for server in platform.servers if server.environment in touched]


def describe(done: Reconciled) -> list[str]:
    """One line for each thing that changed or could not be done."""
    lines = []
    for result in done.results:
        if result.state == "failed":
            lines.append(f"{done.environment}: {result.model} is not served as asked: {result.reason}")
        elif result.state != "unchanged":
            lines.append(f"{done.environment}: {result.model} {result.state}")
    for path, why in done.broken.items():
        lines.append(f"{done.environment}: {path} is not followed: {why.removeprefix(f'{path}: ')}")
    return lines


def main(home: Path) -> int:
    """Reconcile what the push changed; 65 when something that the env repo says is not served."""
    platform = read_platform(home)
    if platform is None or (home / STOPPED).exists():
        print("slipway: the platform does not run; `slipway up` will serve what this push says", flush=True)
        return 0
    code = 0
    for line in sys.stdin:
        push = parse_push(line)
        if push.ref != f"refs/heads/{BRANCH}" or not push.after.strip("0"):
            continue
        paths = changed_paths(platform, push)
        if "envs/environments.yaml" in paths and push.before.strip("0"):
            print("slipway: environments.yaml changed; `slipway up` starts and stops servers to match", flush=True)
        for environment in changed_environments(platform, paths):
            # What did not load is tried again by a person: every release of another model would wait for it.
            for done in reconcile(platform, environment, retry=False):
                for text in describe(done):
                    print(f"slipway: {text}", flush=True)
                code = 65 if done.failed else code
    return code


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except SlipwayError as error:
        print(f"slipway: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
