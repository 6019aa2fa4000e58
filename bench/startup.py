"""How long do `slipway status` and `slipway --help` take to start, and how much memory, against `python -c pass`?

    python bench/startup.py
    python bench/startup.py --runs 50

The commands are timed in turn, so that whatever else the machine does meets all of them alike; the median counts.
`status` runs in a platform with a released model; the first call after a push reads git, later ones do not have to.
The aims: less than 150 ms more than `python -c pass`, less than 100 MB, torch not imported. `slipway` is started as
people do, by the script in `.venv/bin`. Everything is stopped and removed at the end.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from gitops.bump import bump
from hera_workflows.platform.up import down, up
from slipway.operation import Operation
from slipway.version import ModelVersion

SLIPWAY = Path(sys.executable).with_name("slipway")


# A process inherits the peak memory of the one that started it, so a small one must.
LAUNCHER = """
import os, sys, time
began = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", 1, 0)])
_, status, usage = os.wait4(pid, 0)
print(time.perf_counter() - began, usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def once(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds and peak resident MB of one run; raises CalledProcessError when it fails."""
    launched = [sys.executable, "-S", "-c", LAUNCHER, *command]
    printed = subprocess.run(launched, cwd=folder, check=True, capture_output=True, text=True).stdout
    seconds, memory = printed.split()
    return float(seconds), float(memory)


def imports(command: list[str], module: str, folder: Path) -> bool:
    """Whether a run of slipway with these arguments imports a module."""
    script = f"""
import sys
sys.argv = {["slipway", *command[1:]]!r}
from hera_workflows.cli import main
try:
    main()
except SystemExit:
    sys.exit({module!r} in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, stdout=subprocess.DEVNULL, check=False)
    return done.returncode != 0


@click.command()
@click.option("--runs", default=31, show_default=True, help="Runs of each command.")
def main(runs: int) -> None:
    """Print one line a command: median, what it takes more than `python -c pass`, memory."""
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as scratch:
        project = Path(scratch)
        (project / "models").mkdir()
        try:
            platform, _ = up(project)
            version = ModelVersion("digits", 1, "sha256:" + "0" * 64)
            bump(str(platform.env_repo), version, Operation("bench/1", "bump", "staging", version))
            measure(project, runs)
        finally:
            down(project / ".slipway")


def measure(project: Path, runs: int) -> None:
    """Time the commands in turn."""
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "slipway --help": [str(SLIPWAY), "--help"],
        "slipway status": [str(SLIPWAY), "status"],
    }
    first, _ = once(commands["slipway status"], project)
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            seen[name].append(once(command, project))
    base = statistics.median(seconds for seconds, _ in seen["python -c pass"])
    for name, values in seen.items():
        seconds = statistics.median(seconds for seconds, _ in values)
        torch = (
            ""
            if name == "python -c pass"
            else f", torch {'' if imports(commands[name], 'torch', project) else 'not '}imported"
        )
        click.echo(
            f"{name:<16}{seconds * 1000:6.0f} ms  {(seconds - base) * 1000:+5.0f} ms  "
            f"{max(memory for _, memory in values):5.0f} MB{torch}"
        )
    click.echo(f"{'first status':<16}{first * 1000:6.0f} ms  after a push, reading git")


if __name__ == "__main__":
    main()
