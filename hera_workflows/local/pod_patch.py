"""What does a step's pod patch ask for: resources, and of a cluster's nodes which?"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from hera_workflows.local.manifest import Template
from hera_workflows.local.pod import Resources
from hera_workflows.local.substitution import substitute
from slipway.errors import Misconfigured

__all__ = ["patched", "wanted_nodes"]

_BARE = re.compile(r'(?<=": )(\{\{[^{}"]*\}\})')  # a reference in place of a whole object or list


class _Fields(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class _Main(_Fields):
    name: str
    resources: Resources


class _Patch(_Fields):
    containers: list[_Main] = Field(default_factory=list)
    node_selector: str = "{}"  # the JSON, or a reference to it
    tolerations: str = "[]"


def patched(template: Template, node: str) -> list[Resources]:
    """The resources that the patch gives to the container; raises Misconfigured for a field that is not honoured."""
    return [container.resources for container in _read(template, node).containers]


def wanted_nodes(template: Template, values: Mapping[str, str], node: str) -> str:
    """Which nodes of a cluster the step asks for, in words; empty where any will do."""
    patch = _read(template, node)
    found = {"node_selector": patch.node_selector, "tolerations": patch.tolerations}
    texts = {name: substitute(text, values) for name, text in found.items()}
    try:
        return " and ".join(f"{name} {text}" for name, text in texts.items() if json.loads(text))
    except ValueError:
        raise Misconfigured(f"{node}: podSpecPatch: nodeSelector or tolerations is not JSON") from None


def _read(template: Template, node: str) -> _Patch:
    # Parsed before values are put in: a quote in a value stays a quote in a value.
    if template.pod_spec_patch is None:
        return _Patch()
    try:
        patch = _Patch.model_validate_json(_BARE.sub(r'"\1"', template.pod_spec_patch))
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise Misconfigured(f"{node}: podSpecPatch.{place}: not honoured by the local runner") from None
    if any(container.name != "main" for container in patch.containers):
        raise Misconfigured(f"{node}: podSpecPatch: only the container `main` can be patched")
    return patch
