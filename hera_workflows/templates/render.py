"""Which manifests there are, and what exactly stands in each file."""

from __future__ import annotations

from hera_workflows.templates.values import Values

__all__ = ["FOLDERS", "render"]

_HEADER = "# Rendered by `slipway render` from hera_workflows/templates; never edited by hand.\n"
# In the order in which people read them, and in which they are applied.
FOLDERS = ("namespaces", "access", "network", "events", "workflows", "delivery", "monitoring")


def render(values: Values) -> dict[str, str]:
    """The manifests by path below deploy/, the same bytes for the same values; kustomization.yaml lists all others."""
    from hera_workflows.templates.accounts import access
    from hera_workflows.templates.alerting import rules
    from hera_workflows.templates.dashboards import config_maps
    from hera_workflows.templates.delivery import delivery
    from hera_workflows.templates.events import events
    from hera_workflows.templates.monitoring import monitors
    from hera_workflows.templates.namespaces import namespaces
    from hera_workflows.templates.network import network
    from hera_workflows.templates.objects import dump

    objects = {
        "namespaces": namespaces(values),
        "access": access(values),
        "network": network(values),
        "events": events(values),
        "delivery": delivery(values),
        "monitoring": {
            "scraping": monitors(values),
            "alerts": [rules(values)],
            "dashboards": config_maps(values),
        },
    }
    files = {f"{folder}/{name}.yaml": dump(found) for folder, named in objects.items() for name, found in named.items()}
    files |= {f"workflows/{name}.yaml": text for name, text in _workflows(values).items()}
    # Argo Workflows looks once at a schedule; one whose template it does not know yet starts nothing for 20 minutes.
    ordered = sorted(files, key=lambda path: ("-schedule" in path, FOLDERS.index(path.split("/")[0]), path))
    top = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        # By kind, as kustomize would sort them, schedules come before their templates.
        "sortOptions": {"order": "fifo"},
        "resources": ordered,
    }
    return {path: _HEADER + text for path, text in ({"kustomization.yaml": dump([top])} | files).items()}


def _workflows(values: Values) -> dict[str, str]:
    from hera_workflows.templates.dead_letter import dead_letter
    from hera_workflows.templates.push import push
    from hera_workflows.templates.scheduled import catch_up, gc, promote, schedules

    templates = (push(values), promote(values), gc(values), catch_up(values), dead_letter(values))
    rendered = {str(template.name): template.to_yaml() for template in templates}
    return rendered | {f"{schedule.name}-schedule": schedule.to_yaml() for schedule in schedules(values)}
