"""The command `slipway doctor`, and how it looks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from hera_workflows.doctor.finding import Finding, State, exit_code
from hera_workflows.terminal import printable

__all__ = ["doctor", "render"]

_COLOURS = {State.OK: "green", State.NOTE: "cyan", State.MISSING: "red", State.UNKNOWN: "yellow"}


@click.command()
@click.option(
    "--values",
    "values_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="What the cluster was rendered with.",
)
@click.option("--context", help="A context of the kubeconfig; else its current one.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(values_file: Path | None, context: str | None, as_json: bool) -> int:
    """Check an installed cluster, and say what is missing and how to mend it.

    Leaves nothing behind: a branch of the env repo and an object of the store are written and removed at once.
    Ends with 0 when nothing is missing, 78 when something is, 75 when something could not be asked from here.

    \b
    slipway doctor --values values.yaml
    slipway doctor --values values.yaml --json | jq '.[] | select(.state == "missing")'
    """
    from hera_workflows.doctor.examine import examine
    from hera_workflows.doctor.installation import Installation
    from hera_workflows.kubernetes_api import connect
    from hera_workflows.templates.values import read_values

    values = read_values(values_file)
    api = connect(context, remedy="ask as an administrator")
    api.now()  # a cluster that does not answer is one error, and not one in each area
    findings = list(examine(Installation(api, values)))
    if as_json:
        click.echo(json.dumps([{"area": area, **asdict(finding)} for area, finding in findings], indent=2))
    else:
        click.echo(render(findings))
    return exit_code(finding for _, finding in findings)


def render(findings: Sequence[tuple[str, Finding]]) -> str:
    """A line for each finding, its remedy below it, the count at the end; click strips colours where none show."""
    lines, before = [], ""
    for area, finding in findings:
        if area != before:
            lines += ["", click.style(area, bold=True)]
            before = area
        state = click.style(f"{finding.state.value:<8}", fg=_COLOURS[finding.state])
        lines.append(f"  {state} {printable(f'{finding.subject}: {finding.message}')}")
        if finding.remedy:
            lines.append(f"           → {printable(finding.remedy)}")
    counts = Counter(finding.state for _, finding in findings)
    told = [f"{counts[state]} {state.value}" for state in State if counts[state]]
    lines += ["", f"{len(findings)} checked: {', '.join(told)}"]
    return "\n".join(lines).lstrip("\n")
