"""Which pod may speak with whom? What no policy names is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hera_workflows.templates.events import PORT
from hera_workflows.templates.objects import Object, thing
from hera_workflows.templates.values import Values

__all__ = ["network"]

_BUS = {"controller": "eventbus-controller"}
_SOURCE = {"controller": "eventsource-controller"}
_SENSOR = {"controller": "sensor-controller"}
_METRICS = 7777  # of Argo Events' pods
Rule = dict[str, Any]


def network(values: Values) -> dict[str, list[Object]]:
    """Policies of each namespace, by file; all begin with one that refuses everything."""
    files = {values.namespace: [*_everybody(values.namespace), *_steps(values), *_events(values)]}
    return files | {environment: _servers(environment, values) for environment in values.environments}


def _everybody(namespace: str) -> list[Object]:
    return [_policy("nobody", namespace, {}, ingress=[], egress=[])]


def _steps(values: Values) -> list[Object]:
    namespace, reach = values.namespace, values.network
    # Training runs people's code: no name is resolved for it and nothing answers it, but what Argo's sidecar in the
    # same pod needs, which has the credentials for it and the step has not.
    ours = {"matchExpressions": [_exists("slipway/step"), _not_in("slipway/step", ["train"])]}
    policies = [
        _policy("report", namespace, {"matchExpressions": [_exists("slipway/step")]}, egress=[_executor(values)]),
        _policy(
            "steps",
            namespace,
            ours,
            egress=[_dns(values), _blocks(reach.services), {"to": [{"namespaceSelector": {}}]}],
        ),
    ]
    if reach.data:
        declared = {"matchLabels": {"slipway/step": "train", "slipway/data": "declared"}}
        policies.append(_policy("data", namespace, declared, egress=[_dns(values), _blocks(reach.data)]))
    return policies


def _events(values: Values) -> list[Object]:
    """Webhooks come in, events go over the bus, the sensor speaks with the API server."""
    namespace, native = values.namespace, values.event_bus.kind == "native"
    bus = {"to": [{"podSelector": {"matchLabels": _BUS}}]} if native else _blocks(values.network.services)
    policies = [
        _policy(
            "event-source",
            namespace,
            {"matchLabels": _SOURCE},
            ingress=[{"ports": [_tcp(PORT), _tcp(_METRICS)]}],
            egress=[_dns(values), bus],
        ),
        _policy(
            "sensor",
            namespace,
            {"matchLabels": _SENSOR},
            ingress=[{"ports": [_tcp(_METRICS)]}],
            egress=[_dns(values), bus, _executor(values)],
        ),
    ]
    if native:
        from_all = [{"podSelector": {"matchLabels": labels}} for labels in (_BUS, _SOURCE, _SENSOR)]
        among = {"to": [{"podSelector": {"matchLabels": _BUS}}]}
        policies.append(
            _policy(
                "event-bus",
                namespace,
                {"matchLabels": _BUS},
                ingress=[{"from": from_all}],
                egress=[_dns(values), among],
            )
        )
    return policies


def _servers(environment: str, values: Values) -> list[Object]:
    """Requests come in from everywhere; out goes only what fetches a version from a bucket."""
    ports = [_tcp(port) for port in (8000, 8001, 8002)]
    triton = {"matchLabels": {"app.kubernetes.io/name": "triton"}}
    # A policy for each direction: where kube-router enforces one of both, a server reaches the ports of all others.
    policies = [*_everybody(environment), _policy("triton", environment, triton, ingress=[{"ports": ports}])]
    if not values.store_is_volume:
        fetch = [_dns(values), _blocks(values.network.services)]
        policies.append(_policy("fetch", environment, triton, egress=fetch))
    return policies


def _policy(
    name: str,
    namespace: str,
    pods: Rule,
    *,
    ingress: Sequence[Rule] | None = None,
    egress: Sequence[Rule] | None = None,
) -> Object:
    rules: dict[str, Any] = {}
    types = []
    for direction, wanted in (("Ingress", ingress), ("Egress", egress)):
        if wanted is not None:
            types.append(direction)
            # An empty list refuses; the API server drops it, so it is not written.
            rules |= {direction.lower(): list(wanted)} if wanted else {}
    spec = {"podSelector": pods, "policyTypes": types, **rules}
    return thing("NetworkPolicy", "networking.k8s.io/v1", name, namespace, spec=spec)


def _dns(values: Values) -> Rule:
    dns = values.network.dns
    pods = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": dns.namespace}}}
    ports = [each for port in dns.ports for each in ({"protocol": "UDP", "port": port}, _tcp(port))]
    return {"to": [pods, *_blocks(dns.blocks)["to"]], "ports": ports}


def _executor(values: Values) -> Rule:
    return {**_blocks(values.network.executor), "ports": [_tcp(port) for port in values.network.executor_ports]}


def _blocks(blocks: Sequence[str]) -> Rule:
    return {"to": [{"ipBlock": {"cidr": block}} for block in blocks]}


def _tcp(port: int) -> Rule:
    return {"protocol": "TCP", "port": port}


def _exists(key: str) -> Rule:
    return {"key": key, "operator": "Exists"}


def _not_in(key: str, values: list[str]) -> Rule:
    return {"key": key, "operator": "NotIn", "values": values}
