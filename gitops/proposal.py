"""What does a person read who is to approve a promotion? Title and text of its pull request, in Markdown."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gitops.requests import branch_of
from slipway.evidence import ServedEvidence, ValidationSummary
from slipway.manifest import MetricValue
from slipway.operation import Operation
from slipway.text import one_line
from slipway.verdict import Check, Verdict
from slipway.version import ModelVersion, release_path, render_release_env

__all__ = ["Links", "Proposal", "checks_table", "escape", "proposal"]

_MOST_ROWS = 100  # GitHub refuses more than 65,536 characters
_LONGEST = 300  # characters of one cell
# Forges look for mentions, references and links after they have read the Markdown, so a backslash does not keep them
# off; a space without width does.
_REFERENCES = re.compile(r"[@#!%~&](?=[\w\"])|(?<=:)/(?=/)|(?<=www)(?=\.)", re.IGNORECASE)
_APART = "\u200b"
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", _APART: "&#8203;"})


@dataclass(frozen=True, slots=True)
class Links:
    """Where to read on; "" for what has no page."""

    training: str = ""  # the workflow that trained and validated, in the Argo UI: the report is an artifact of it
    report: str = ""  # that artifact itself
    judging: str = ""  # the workflow that judged, there too
    source: str = ""  # the source commit, on the forge


@dataclass(frozen=True, slots=True)
class Proposal:
    """A pull request's text."""

    title: str  # one plain line
    body: str  # Markdown


def proposal(evidence: ServedEvidence, operation: Operation, links: Links | None = None) -> Proposal:
    """The text that proposes a promotion; the same evidence gives the same text."""
    links = links or Links()
    version, target, validation = evidence.version, evidence.target, evidence.validation
    now = f"which serves `{evidence.previous}` now" if evidence.previous else f"which serves no `{version.name}` yet"
    parts = [
        f"**{evidence.verdict}** in {evidence.judged_in}: {_in_short(evidence)}",
        f"Merging this releases `{version}` to **{target}**, {now}.",
        f"### Seen in {evidence.judged_in}",
        checks_table(evidence.checks),
        f"### Validated before it was served: {validation.outcome}",
        _metrics_table(validation, evidence),
        checks_table(validation.checks),
        "### What changes",
        _diff(evidence),
        "### Your decision",
        _decision(evidence),
        "### To read on",
        _more(evidence, operation, links),
    ]
    return Proposal(f"Promote {version} to {target}", "\n\n".join(part for part in parts if part) + "\n")


def escape(text: str) -> str:
    """Text from outside as one line of Markdown that shows it as it is.

    No cell, tag, mention, reference or link begins or ends in it; what is longer than 300 characters is cut.
    """
    apart = _REFERENCES.sub(lambda found: found[0] + _APART, one_line(text, _LONGEST))
    return re.sub(r"([\\`*_\[\]{}()|~$])", r"\\\1", apart).translate(_ENTITIES)


def checks_table(checks: Sequence[Check]) -> str:
    """Checks with their numbers, those that did not pass first; "" for none."""
    ordered = sorted(checks, key=lambda check: check.verdict is Verdict.PASS)
    rows = [
        (str(c.verdict), escape(c.name), _number(c.value), escape(c.threshold or ""), escape(c.reason)) for c in ordered
    ]
    return _table(("verdict", "check", "seen", "allowed", "in words"), rows)


def _in_short(evidence: ServedEvidence) -> str:
    if evidence.verdict is not Verdict.PASS:
        return escape(evidence.reason)
    seen = evidence.observation.requests
    return f"all {len(evidence.checks)} checks passed" + ("" if seen is None else f" over {seen:,.0f} requests")


def _metrics_table(validation: ValidationSummary, evidence: ServedEvidence) -> str:
    """Those whose interval is known, which are those of the whole split; behind a fold all others, one a class.

    Two more columns have what the target serves, where that is not the champion: its numbers are those of its own
    validation, perhaps on other samples, so without a difference.
    """
    champion = validation.champion or "champion"
    if evidence.previous and champion == str(evidence.previous):
        champion = f"{champion} (in {evidence.target} now)"
    header = ["metric", f"`{evidence.version}`", "interval", escape(champion), "difference"]
    rows = [
        [escape(name), _number(m.value), _interval(m.low, m.high), _number(m.champion), _difference(m)]
        for name, m in sorted(validation.metrics.items())
    ]
    if (served := evidence.previous_metrics) is not None:
        header += [escape(f"{evidence.previous} (in {evidence.target} now), on its own test split"), "interval"]
        for row, name in zip(rows, sorted(validation.metrics), strict=True):
            there = served.get(name)
            row += [_number(there.value), _interval(there.low, there.high)] if there else ["", ""]
    first = [row for row in rows if row[2]] or rows
    others = [row for row in rows if row not in first]
    folded = f"<details><summary>Other metrics ({len(others)})</summary>\n\n{_table(header, others)}\n\n</details>"
    return "\n\n".join(part for part in (_table(header, first), folded if others else "") if part)


def _difference(metric: MetricValue) -> str:
    return _interval(metric.difference_low, metric.difference_high, sign="+")


def _diff(evidence: ServedEvidence) -> str:
    path = release_path(evidence.target, evidence.version.name)
    before = evidence.previous
    old, new = (
        render_release_env(ModelVersion(each.name, each.number, each.digest)).splitlines() if each else []
        for each in (before, evidence.version)
    )
    lines = difflib.unified_diff(old, new, f"a/{path}" if before else "/dev/null", f"b/{path}", lineterm="")
    return "\n".join(["```diff", *lines, "```"])


def _decision(evidence: ServedEvidence) -> str:
    version, target = evidence.version, evidence.target
    return "\n".join(
        [
            f"- **Approve**: merge it with a merge commit, not by squash or rebase: {target} gets what was judged.",
            f"- **Reject**: close it. `{version}` is then held and not proposed again until somebody runs "
            f"`slipway release-hold {target} {version}`.",
            f"- **Roll back** after it was merged: `git revert -m 1 MERGE_COMMIT` on main, or "
            f"`slipway rollback {target} {version.name}`.",
        ]
    )


def _more(evidence: ServedEvidence, operation: Operation, links: Links) -> str:
    version, target = evidence.version, evidence.target
    stored = f"`{evidence.validation.report}` in the model store" if _is_path(evidence.validation.report) else ""
    trained = f"in {_link('the workflow that trained it', links.training)}" if links.training else ""
    artifact = f"{_link('as validate left it', links.report)} {trained}" if links.report else ""
    report = ", and ".join(part for part in (artifact, stored) if part)
    commit = operation.source_commit
    run = operation.run or "a run without a name"
    lines = [
        f"**Report**: {report}" if report else "",
        f"**Trained**: {trained}" if trained and not links.report else "",
        f"**Source**: {_link(f'commit {commit[:12]}', links.source)}" if commit else "",
        f"**Judged**: {evidence.judged_at:%Y-%m-%d %H:%M:%S %Z} by {_link(escape(run), links.judging)}, at "
        f"{evidence.source_env_commit[:12]}",
        f"**Again**: `slipway explain {branch_of(target, version.name, version.number)}` recomputes the verdict",
    ]
    return "\n".join(f"- {line}" for line in lines if line)


def _link(text: str, url: str) -> str:
    return f"[{text}]({url})" if _is_url(url) else text


def _is_path(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9._/-]{1,200}", text) is not None


def _is_url(text: str) -> bool:
    # Nothing in it may end the Markdown link.
    return re.fullmatch(r"https?://[!#-'*-;=?-~]{1,2000}", text) is not None and not re.search(r"[\[\]\\`|]", text)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    left = len(rows) - _MOST_ROWS
    more = [(f"{left} more", *[""] * (len(header) - 1))] if left > 0 else []
    return "\n".join(_row(cells) for cells in (header, ["---"] * len(header), *rows[:_MOST_ROWS], *more))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _interval(low: float | None, high: float | None, sign: str = "") -> str:
    return "" if low is None or high is None else f"{low:{sign}.4g} to {high:{sign}.4g}"
