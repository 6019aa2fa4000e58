"""The rendered installation as tests ask it: objects by kind, and the pods that its workflows make."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml

from hera_workflows.templates.render import render
from hera_workflows.templates.values import Values

__all__ = ["objects", "pods", "role_rules", "values"]


def values(**given: Any) -> Values:
    """The defaults but for what is given."""
    return Values.model_validate(given)


def objects(of: Values, kind: str | None = None) -> list[dict[str, Any]]:
    """Every rendered object, or those of a kind."""
    return [document for document in _all(of.model_dump_json()) if kind in (None, document["kind"])]


@cache
def _all(of: str) -> list[dict[str, Any]]:
    files = (text for path, text in render(Values.model_validate_json(of)).items() if path != "kustomization.yaml")
    return [document for text in files for document in yaml.load_all(text, Loader=yaml.CSafeLoader)]


def pods(of: Values) -> Iterator[tuple[str, dict[str, Any]]]:
    """The template of each step with its ServiceAccount, as `workflow/step`."""
    for workflow in objects(of, "WorkflowTemplate"):
        for template in workflow["spec"]["templates"]:
            if "container" in template:
                yield f"{workflow['metadata']['name']}/{template['name']}", template


def role_rules(of: Values, account: str) -> set[tuple[str, str, str]]:
    """What an account may do: (namespace, resource, verb), by every RoleBinding that names it."""
    roles = {(r["metadata"]["namespace"], r["metadata"]["name"]): r["rules"] for r in objects(of, "Role")}
    return {
        (namespace, resource, verb)
        for binding in objects(of, "RoleBinding")
        for namespace in [binding["metadata"]["namespace"]]
        if any(subject["name"] == account for subject in binding["subjects"])
        for rule in roles[namespace, binding["roleRef"]["name"]]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
