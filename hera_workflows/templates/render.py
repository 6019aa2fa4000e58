"""Which manifests there are, and what exactly stands in each file."""

from __future__ import annotations

from hera_workflows.templates.values import Values

__all__ = ["render"]

_HEADER = "# Rendered by `slipway render` from hera_workflows/templates; never edited by hand.\n"


def render(values: Values) -> dict[str, str]:
    """The manifests by file name, the same bytes for the same values."""
    from hera_workflows.templates.push import push
    from hera_workflows.templates.scheduled import gc, promote, schedules

    rendered = {str(template.name): template.to_yaml() for template in (push(values), promote(values), gc(values))}
    rendered |= {f"{schedule.name}-schedule": schedule.to_yaml() for schedule in schedules(values)}
    return {f"{name}.yaml": _HEADER + text for name, text in rendered.items()}
