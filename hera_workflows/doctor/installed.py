"""Is in the cluster what `slipway render` writes, and do its event source and sensor run?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hera_workflows.doctor.finding import Finding, missing, ok
from hera_workflows.doctor.installation import Installation
from hera_workflows.kubernetes_api import path_of
from slipway.errors import Misconfigured

__all__ = ["check", "differences", "judge", "judge_running"]

_APPLY = "kubectl apply --server-side -k on what slipway render wrote"
_RUNNING = ("EventBus", "EventSource", "Sensor")
# What the API server keeps for itself.
_KEPT = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid")


def check(installation: Installation) -> Iterator[Finding]:
    """What is absent by kind, each object that differs or does not run, and how many are as they should be."""
    absent: dict[str, list[str]] = {}
    same = 0
    for wanted in _rendered(installation):
        kind, name = wanted["kind"], wanted["metadata"]["name"]
        namespace = wanted["metadata"].get("namespace")
        resource = installation.api.resource(wanted["apiVersion"], kind)
        path = resource and path_of(wanted["apiVersion"], resource, namespace, name)
        live = installation.api.get(path) if path else None
        named = f"{namespace}/{name}" if namespace else name
        if not path or live is None:
            absent.setdefault(kind, []).append(named)
            continue
        finding = _compare(installation, f"{kind} {named}", path, live, wanted)
        if finding is None:
            same += 1
        else:
            yield finding
        if kind in _RUNNING:
            yield judge_running(f"{kind} {named} running", (live.get("status") or {}).get("conditions") or [])
    for kind, names in absent.items():
        yield missing(kind, f"does not exist: {', '.join(names)}", _APPLY)
    if same:
        yield ok("manifests", f"{same} objects are as slipway render writes them")


def _compare(
    installation: Installation, subject: str, path: str, live: Mapping[str, Any], wanted: Mapping[str, Any]
) -> Finding | None:
    try:
        applied = installation.api.applied(path, wanted)
    except Misconfigured as error:
        # Some fields can never change, and the API server says so instead of answering.
        return missing(subject, f"cannot become what is rendered: {error}", f"delete it, then {_APPLY}")
    return judge(subject, live, applied)


def judge(subject: str, live: Mapping[str, Any], applied: Mapping[str, Any]) -> Finding | None:
    """applied: what the live object would become; None when that is what it is."""
    if found := differences(_plain(live), _plain(applied)):
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        return missing(subject, f"differs from what is rendered at {', '.join(found[:3])}{more}", _APPLY)
    return None


def judge_running(subject: str, conditions: list[Mapping[str, Any]]) -> Finding:
    """conditions: of an object of Argo Events."""
    bad = [each for each in conditions if each.get("status") != "True"]
    if not conditions:
        return missing(subject, "no controller has taken it up", "does Argo Events run and watch this namespace?")
    if bad:
        said = "; ".join(f"{c.get('type')}: {c.get('message') or c.get('reason') or 'not yet'}"[:200] for c in bad)
        return missing(subject, said, "mend what it says; kubectl describe shows more")
    return ok(subject, ", ".join(str(each.get("type")) for each in conditions))


def differences(before: Any, after: Any, where: str = "") -> list[str]:
    """The paths, such as spec.triggers.0.template, at which two values differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(before.keys() | after.keys())
        return [d for key in keys for d in differences(before.get(key), after.get(key), f"{where}.{key}".lstrip("."))]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [d for place, (old, new) in pairs for d in differences(old, new, f"{where}.{place}")]
    return [] if before == after else [where]


def _plain(found: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in found["metadata"].items() if key not in _KEPT}
    return {**{key: value for key, value in found.items() if key != "status"}, "metadata": metadata}


def _rendered(installation: Installation) -> list[dict[str, Any]]:
    import yaml

    from hera_workflows.templates.render import render

    files = render(installation.values)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    objects = [each for text in files.values() for each in yaml.load_all(text, loader)]
    return [each for each in objects if each and each["kind"] != "Kustomization"]
