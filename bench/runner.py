"""How long do five no-op steps take in the local runner, against Metaflow and Snakemake on the same machine?

    python bench/runner.py                # five rounds of each, in turn; the median counts
    python bench/runner.py --runs 9

Every way runs a chain of five steps, each a process of its own, keeps what it has done on disk and can resume. Timed
is the whole command, from start to exit. The others are installed by uv into a temporary folder. The aim is a third of
the best of them.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import yaml

STEPS = 5
METAFLOW = """
from metaflow import FlowSpec, step

class Chain(FlowSpec):
    @step
    def start(self): self.next(self.a)
    @step
    def a(self): self.next(self.b)
    @step
    def b(self): self.next(self.c)
    @step
    def c(self): self.next(self.end)
    @step
    def end(self): pass

if __name__ == "__main__":
    Chain()
"""
SNAKEFILE = "rule all:\n    input: 'out5'\n" + "".join(
    f"rule s{n}:\n"
    + (f"    input: 'out{n - 1}'\n" if n > 1 else "")
    + f"    output: 'out{n}'\n    shell: 'touch {{output}}'\n"
    for n in range(1, STEPS + 1)
)


def manifest() -> str:
    """Five tasks, each after the one before it, each `python -c pass` with the retries that our templates have."""
    retry = {
        "limit": 4,
        "retryPolicy": "Always",
        "expression": "asInt(lastRetry.exitCode) == 75",
        "backoff": {"duration": "2s"},
    }
    container = {"image": "slipway/light:0.1.0", "command": ["python", "-c", "pass"]}
    container["resources"] = {"requests": {"cpu": "100m"}, "limits": {"memory": "128Mi"}}  # type: ignore[assignment]
    tasks = [
        {"name": f"s{n}", "template": "noop", **({"depends": f"s{n - 1}"} if n > 1 else {})}
        for n in range(1, STEPS + 1)
    ]
    templates = [
        {"name": "chain", "dag": {"tasks": tasks}},
        {"name": "noop", "container": container, "retryStrategy": retry},
    ]
    return yaml.safe_dump(
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "WorkflowTemplate",
            "metadata": {"name": "chain"},
            "spec": {"entrypoint": "chain", "templates": templates},
        }
    )


def install(folder: Path, package: str) -> Path:
    """A virtual environment with one package; its folder of programs."""
    uv = str(Path(sys.prefix, "bin/uv"))
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", folder / "bin/python", package], check=True)
    return folder / "bin"


def seconds(command: list[str | Path], folder: Path) -> float:
    """The wall time of one command in an empty folder that holds the inputs."""
    environment = {**os.environ, "METAFLOW_USER": "bench", "HOME": str(folder)}
    began = time.perf_counter()
    subprocess.run(
        command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    return time.perf_counter() - began


@click.command()
@click.option("--runs", default=5, show_default=True)
def main(runs: int) -> None:
    """Print one line for each way and the ratio."""
    with tempfile.TemporaryDirectory() as temporary:
        top = Path(temporary)
        metaflow, snakemake = install(top / "metaflow", "metaflow"), install(top / "snakemake", "snakemake")
        (top / "chain.yaml").write_text(manifest())
        (top / "chain.py").write_text(METAFLOW)
        (top / "Snakefile").write_text(SNAKEFILE)
        ways: dict[str, list[str | Path]] = {
            "slipway run": [Path(sys.executable).parent / "slipway", "run", top / "chain.yaml", "--root", "root"],
            "Metaflow": [metaflow / "python", top / "chain.py", "--quiet", "run"],
            "Snakemake": [snakemake / "snakemake", "--snakefile", top / "Snakefile", "--cores", "2", "--quiet"],
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for count in range(runs + 1):
            for name, command in ways.items():
                folder = top / f"work-{count}"
                folder.mkdir()
                took = seconds(command, folder)
                shutil.rmtree(folder)
                if count:  # the first round warms the disk cache and compiles bytecode
                    times[name].append(took)
        medians = {name: statistics.median(taken) for name, taken in times.items()}
        for name, taken in times.items():
            click.echo(f"{name:<12} {medians[name]:.2f} s   ({min(taken):.2f} to {max(taken):.2f}, {runs} runs)")
        best = min(value for name, value in medians.items() if name != "slipway run")
        click.echo(f"{STEPS} no-op steps: {medians['slipway run'] / best:.2f} of the best alternative; the aim is 0.33")


if __name__ == "__main__":
    main()
