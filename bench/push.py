"""How long is it from `git push` until staging serves the model, the training taken off?

    python bench/push.py
    python bench/push.py --pushes 5

Each push changes one parameter of the digits example and so gives a new version. The time counted is that of the whole
`git push`, which returns when the version is READY in staging's Triton, less the time of the train step; it holds the
validation with its cold start of a real Triton, publish, bump and reconcile. The aim is less than 10 s. Everything is
stopped and removed at the end.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import click

from hera_workflows.packaged import packaged
from hera_workflows.platform.status import read_index
from hera_workflows.platform.up import down, up
from hera_workflows.settings import Platform

MODEL = "digits"


def git(project: Path, *arguments: str) -> None:
    """A git command in the project that must succeed."""
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    subprocess.run(["git", "-C", str(project), *identity, *arguments], check=True, capture_output=True)


def steps(platform: Platform) -> dict[str, float]:
    """Seconds of each step of the newest run."""
    journal = max(platform.home.glob("workflows/*/journal.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    facts = [json.loads(line) for line in journal.read_text().splitlines()]
    return {f["result"]["id"]: f["result"]["seconds"] for f in facts if f["fact"] == "end" and f["result"]["seconds"]}


def push(project: Path, platform: Platform, number: int) -> tuple[float, dict[str, float]]:
    """Seconds of one push, and of each of its steps."""
    path = project / "models" / MODEL / "model.yaml"
    path.write_text(re.sub(r"epochs: \d+", f"epochs: {3 + number}", path.read_text()))
    git(project, "add", "-A")
    git(project, "commit", "-qm", f"Train {3 + number} epochs")
    began = time.perf_counter()
    git(project, "push", "-q", "slipway", "main")
    seconds = time.perf_counter() - began
    index = read_index(platform.servers[0].http_port, platform.secret_file.read_text()) or {}
    state = index.get(MODEL, {}).get(number, ("missing", ""))[0]
    if state != "READY":
        raise SystemExit(f"push {number} ended and {MODEL}@{number} is {state}; see {platform.home}/workflows")
    return seconds, steps(platform)


@click.command()
@click.option("--pushes", default=3, show_default=True)
def main(pushes: int) -> None:
    """Print one line a push and the median."""
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as scratch:
        project = Path(scratch)
        shutil.copytree(packaged("examples") / "models" / MODEL, project / "models" / MODEL)
        git(project, "init", "-q", "--initial-branch=main")
        try:
            platform, _ = up(project)
            git(project, "remote", "add", "slipway", str(platform.source_repo))
            seen = []
            for number in range(1, pushes + 1):
                seconds, parts = push(project, platform, number)
                training = sum(took for name, took in parts.items() if name.endswith("/train"))
                seen.append(seconds - training)
                others = ", ".join(f"{name.split('/')[-1]} {took:.1f}" for name, took in parts.items())
                click.echo(
                    f"push {number}: {seconds:5.1f} s - training {training:5.1f} s = {seen[-1]:5.1f} s  ({others})"
                )
            click.echo(f"median: {statistics.median(seen):.1f} s; the aim is less than 10 s")
        finally:
            down(project / ".slipway")


if __name__ == "__main__":
    main()
