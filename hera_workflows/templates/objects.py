"""How is an object of Kubernetes written, for kinds that no library has models of?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["CONTAINER_SECURITY", "LABELS", "POD_SECURITY", "Object", "dump", "thing"]

Object = Mapping[str, Any]

LABELS = {"app.kubernetes.io/part-of": "slipway"}
# What Pod Security `restricted` asks of a pod that somebody else's controller makes.
POD_SECURITY: Object = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "runAsGroup": 1000,
    "fsGroup": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Object = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}


def thing(
    kind: str, version: str, name: str, namespace: str | None, *, metadata: Object | None = None, **fields: Any
) -> Object:
    """One object with our label; metadata: what else stands there; fields: spec, data, rules, …"""
    named: dict[str, Any] = {"name": name, **({"namespace": namespace} if namespace else {})}
    extra = dict(metadata or {})
    labels = {**LABELS, **extra.pop("labels", {})}
    return {"apiVersion": version, "kind": kind, "metadata": {**named, "labels": labels, **extra}, **fields}


def dump(objects: Iterable[Object]) -> str:
    """The objects as one YAML file, the same bytes for the same objects."""
    import yaml

    class Plain(yaml.SafeDumper):
        """Without anchors: the same value twice is written twice."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    Plain.add_representer(str, text)
    return "---\n".join(yaml.dump(dict(o), Dumper=Plain, sort_keys=False, width=120) for o in objects)
