"""Run the benches one after another: `python -m bench`, or `python -m bench startup push` for some of them.

Each is a command of its own with its own flags; `python bench/NAME.py --help` says what it measures and against what.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
def main(names: tuple[str, ...]) -> None:
    """Run NAMES, or every bench but that of the test cluster; ends with 1 when one of them could not be measured."""
    failed = []
    for name in names or [name for name in NAMES if name != "cluster"]:
        click.secho(f"\n== {name}", bold=True)
        if subprocess.run([sys.executable, str(HERE / f"{name}.py")], check=False).returncode:
            failed.append(name)
    if failed:
        raise click.ClickException(f"not measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()
