"""One self-contained page that says whether a model is good enough, and why."""

from __future__ import annotations

from html import escape

from hera_workflows.learning.trained import Trained
from hera_workflows.learning.validation import Judged

__all__ = ["render_report"]


def render_report(trained: Trained, judged: Judged) -> str:
    rows = "".join(f"<tr><td>{escape(c.name)}<td>{c.verdict}<td>{escape(c.reason)}" for c in judged.validation.checks)
    title = escape(trained.spec.name)
    return f"<!doctype html><title>{title}</title><h1>{judged.validation.outcome}</h1><table>{rows}</table>"
