"""How long does one bump take in a large environment repository, against clone + commit + push?

    python bench/bump.py                        # 10,000 models × 2 environments, 20,000 commits
    python bench/bump.py --models 100 --commits 200

The repository is made by git fast-import in a temporary folder. Each way is timed `--runs` times, in turn; the median
counts. The aim is 0.4 s, whatever the number of models and commits.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from gitops.bump import bump
from gitops.environment_repo import read
from gitops.history import history
from gitops.layout import kustomization
from gitops.seed import default_folder, seed
from slipway.operation import Operation, render_message
from slipway.version import ModelVersion, render_release_env

ENVIRONMENTS = ("staging", "production")


def version(model: str, number: int) -> ModelVersion:
    """A version with a digest that differs from every other."""
    return ModelVersion(model, number, f"sha256:{hash((model, number)) & (2**256 - 1):064x}"[:71])


def build(folder: Path, models: int, commits: int) -> Path:
    """A bare repository with one first commit of every release, and bumps up to `commits` commits."""
    repo = folder / "env.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", repo], check=True)
    subprocess.run(["git", "-C", repo, "config", "uploadpack.allowFilter", "true"], check=True)
    subprocess.run(["git", "-C", repo, "config", "uploadpack.allowAnySHA1InWant", "true"], check=True)
    first = seed(str(repo), default_folder()).commit
    process = subprocess.Popen(["git", "-C", repo, "fast-import", "--quiet", "--force"], stdin=subprocess.PIPE)
    assert process.stdin is not None
    out = process.stdin
    evidence = json.dumps({"checks": ["x" * 40] * 20}, indent=2).encode()

    def commit(message: str, files: dict[str, bytes], when: int) -> None:
        text = message.encode()
        head = f"commit refs/heads/main\ncommitter slipway <slipway@localhost> {when} +0000\ndata {len(text)}\n"
        out.write(head.encode() + text + b"\n")
        if when == 0:
            out.write(f"from {first}\n".encode())
        for path, content in files.items():
            out.write(f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content + b"\n")

    files = {}
    for environment in ENVIRONMENTS:
        for index in range(models):
            model = f"model-{index:05}"
            files[f"envs/{environment}/{model}/release.env"] = render_release_env(version(model, 1)).encode()
            files[f"envs/{environment}/{model}/kustomization.yaml"] = kustomization(environment, model)
            files[f"envs/{environment}/{model}/evidence.json"] = evidence
    commit("Import what was there\n", files, 0)
    for count in range(commits - 2):
        model, number = f"model-{count % models:05}", 2 + count // models
        new = version(model, number)
        operation = Operation(f"bump/{count}", "bump", "staging", new, source_commit="a" * 40, run=f"run-{count}")
        content = {f"envs/staging/{model}/release.env": render_release_env(new).encode()}
        commit(render_message(f"Release {new} to staging", operation), content, 1_700_000_000 + count)
    out.close()
    if process.wait() != 0:
        raise SystemExit("git fast-import failed")
    return repo


def clone_commit_push(url: str, new: ModelVersion, folder: Path) -> None:
    """What a bump is without slipway: full clone with a work tree, edit, commit, push."""
    work = folder / "clone"
    shutil.rmtree(work, ignore_errors=True)
    git = ["git", "-C", str(work), "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    subprocess.run(["git", "clone", "--quiet", url, work], check=True)
    (work / f"envs/staging/{new.name}/release.env").write_text(render_release_env(new))
    subprocess.run([*git, "commit", "--quiet", "--all", "--message", f"Release {new}"], check=True)
    subprocess.run([*git, "push", "--quiet", "origin", "HEAD:main"], check=True)


def timed(action: Callable[[], object]) -> float:
    """Seconds that `action` takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


@click.command(help=__doc__)
@click.option("--models", default=10_000, show_default=True)
@click.option("--commits", default=20_000, show_default=True)
@click.option("--runs", default=5, show_default=True)
@click.option("--clones", default=2, show_default=True, help="How often the slow way is timed.")
def main(models: int, commits: int, runs: int, clones: int) -> None:
    """Print one line for each way."""
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as name:
        folder = Path(name)
        seconds = timed(lambda: build(folder, models, commits))
        repo = folder / "env.git"
        size = sum(path.stat().st_size for path in repo.rglob("*") if path.is_file()) / 1e6
        click.echo(
            f"{models} models × {len(ENVIRONMENTS)} environments, {commits} commits, {size:.0f} MB ({seconds:.0f} s)"
        )
        number = 1000
        results: dict[str, list[float]] = {"bump, folder": [], "bump, URL": []}
        for run in range(runs + 1):
            for what, url in (("bump, folder", str(repo)), ("bump, URL", f"file://{repo}")):
                number += 1
                new = version("model-00007", number)
                operation = Operation(f"bench/{number}", "bump", "staging", new)
                seconds = timed(lambda u=url, n=new, o=operation: bump(u, n, o, evidence=b"{}\n"))  # type: ignore[misc]
                if run:  # the first one also pays for imports
                    results[what].append(seconds)
        results["clone + commit + push"] = []
        for _ in range(clones):
            number += 1
            new = version("model-00007", number)
            results["clone + commit + push"].append(timed(lambda n=new: clone_commit_push(f"file://{repo}", n, folder)))  # type: ignore[misc]
        results["read everything, folder"] = [timed(lambda: read(str(repo))) for _ in range(3)]
        results["read everything, URL"] = [timed(lambda: read(f"file://{repo}")) for _ in range(2)]
        results["whole history, folder"] = [timed(lambda: list(history(str(repo)))) for _ in range(3)]
        base = statistics.median(results["clone + commit + push"] or [float("nan")])
        for what, values in results.items():
            middle = statistics.median(values)
            click.echo(f"{what:26} {middle:7.3f} s   {base / middle:7.1f} × faster than clone + commit + push")


if __name__ == "__main__":
    main()
