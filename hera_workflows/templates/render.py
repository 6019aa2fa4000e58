"""Which manifests there are, and what exactly stands in each file."""

from __future__ import annotations

from hera_workflows.templates.values import Values

__all__ = ["render"]

_HEADER = "# Rendered by `slipway render` from hera_workflows/templates; never edited by hand.\n"


def render(values: Values) -> dict[str, str]:
    """The manifests by file name, the same bytes for the same values."""
    from hera_workflows.templates.push import push
    from hera_workflows.templates.scheduled import gc, promote, schedules

    rendered = {workflow.name: workflow for workflow in (push(values), promote(values), gc(values))}
    rendered |= {f"{workflow.name}-schedule": workflow for workflow in schedules(values)}
    return {f"{name}.yaml": _HEADER + workflow.to_yaml() for name, workflow in rendered.items()}
