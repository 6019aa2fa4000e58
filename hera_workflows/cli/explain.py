"""The command `slipway explain`: does a decision follow from its evidence?"""

from __future__ import annotations

import json
from pathlib import Path

import click

from hera_workflows.cli.options import env_repo
from slipway.errors import Rejected

__all__ = ["explain"]


@click.command()
@click.argument("commit")
@click.option("--json", "as_json", is_flag=True, help="Print the evidence and the recomputed verdict as JSON.")
@click.pass_obj
def explain(home: Path | None, commit: str, as_json: bool) -> None:
    """Say why a commit of the environment repository did what it did, and recompute its verdict from its evidence.

    Reads git and nothing else. Exit status 65 when the evidence gives another verdict than the commit says.
    COMMIT: an id, shortened or not, or a branch such as promote/production/digits-3.

    \b
    slipway explain 4f2a91c
    slipway explain promote/production/digits-3
    """
    from gitops.evidence import evidence_of
    from hera_workflows.cli.evidence_view import describe
    from slipway.evidence import agrees, parse_evidence, recompute

    full, contents = evidence_of(env_repo(home), commit)
    found = [parse_evidence(content, f"{full[:12]}:{path}") for path, content in sorted(contents.items())]
    judged = [recompute(evidence) for evidence in found]
    same = [agrees(evidence) for evidence in found]
    if as_json:
        content = [
            {"evidence": evidence.model_dump(mode="json"), "recomputed": judgement.verdict.value, "agrees": agreed}
            for evidence, judgement, agreed in zip(found, judged, same, strict=True)
        ]
        click.echo(json.dumps({"commit": full, "releases": content}, indent=2))
    else:
        for evidence, judgement, agreed in zip(found, judged, same, strict=True):
            end = "the same as when it was decided" if agreed else "NOT what the commit says"
            click.echo(f"{describe(evidence, judgement)}\n\nrecomputed from the evidence: {end}")
    if not all(same):
        raise Rejected(
            f"{full[:12]}: its evidence was edited, or was judged by other rules than this version of slipway"
        )
