"""Do many writers at once lose anything, and do they keep the server busy?

    python bench/writers.py                  # 100 writers, each bumps its own model once

Against: the rate at which the same server takes one `git push` after another of commits that were made before. All
writers must land; the aim is 80 % of that rate.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

import click
import stamina  # noqa: F401  what a writer loads is loaded before the start: this measures writing, not starting
from bump import build, version

from gitops.bump import bump
from gitops.environment_repo import read
from slipway.operation import Operation


def write(url: str, index: int, start: Barrier) -> None:
    """One writer: waits for the others, then bumps its own model."""
    new = version(f"model-{index:05}", 1000)
    start.wait()
    bump(url, new, Operation(f"writers/{index}", "bump", "staging", new), evidence=b"{}\n")


def serial_seconds(repo: Path, clone: Path, pushes: int) -> float:
    """The time of one push after another, of commits that exist already."""
    git = ["git", "-C", str(clone), "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    subprocess.run(["git", "clone", "--quiet", repo, clone], check=True)
    commits = []
    for count in range(pushes):
        (clone / f"envs/staging/model-{count:05}/evidence.json").write_text(f"{clone.name} {count}\n")
        subprocess.run([*git, "commit", "--quiet", "--all", "--message", f"push {count}"], check=True)
        commits.append(subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip())
    start = time.perf_counter()
    for commit in commits:
        subprocess.run([*git, "push", "--quiet", str(repo), f"{commit}:refs/heads/main"], check=True)
    return time.perf_counter() - start


@click.command(help=__doc__)
@click.option("--writers", default=100, show_default=True)
@click.option("--models", default=1000, show_default=True, help="Models in the repository.")
@click.option("--pushes", default=100, show_default=True, help="Serial pushes to compare with.")
@click.option("--url", is_flag=True, help="Through a URL, where writers cannot stand in line.")
def main(writers: int, models: int, pushes: int, url: bool) -> None:
    """Print both rates and what landed."""
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as name:
        folder = Path(name)
        repo = build(folder, max(models, writers), 100)
        # Half of them before and half after the writers, since machines do not stay as fast as they were.
        before = serial_seconds(repo, folder / "before", pushes // 2)
        context = multiprocessing.get_context("fork")
        barrier = context.Barrier(writers + 1)
        where = f"file://{repo}" if url else str(repo)
        processes = [context.Process(target=write, args=(where, index, barrier)) for index in range(writers)]
        for process in processes:
            process.start()
        barrier.wait()
        start = time.perf_counter()
        for process in processes:
            process.join(timeout=900)
        rate = writers / (time.perf_counter() - start)
        snapshot = read(str(repo))
        landed = sum(
            snapshot.release("staging", f"model-{index:05}") == version(f"model-{index:05}", 1000)
            for index in range(writers)
        )
        log = subprocess.check_output(["git", "-C", repo, "log", "--format=%s", "main"], text=True)
        base = pushes // 2 * 2 / (before + serial_seconds(repo, folder / "after", pushes // 2))
    click.echo(f"{writers} writers: {landed} landed, {log.count('@1000 to staging')} commits, {rate:.1f} bumps/s")
    click.echo(f"one push after another: {base:.1f} pushes/s; the writers reach {rate / base:.0%} of it")
    if landed != writers:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
