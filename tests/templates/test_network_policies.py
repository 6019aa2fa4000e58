"""Which pods the policies select, and what is left to them, asked of the pods that the workflows really make."""

from __future__ import annotations

from typing import Any

import pytest
from installed import objects, pods, values

from hera_workflows.templates.values import Values

EXECUTOR, SERVICES, DATA = "10.0.0.1/32", "10.1.0.0/16", "10.2.0.0/16"
OPEN = values(network={"executor": [EXECUTOR], "executor_ports": [443, 9000], "services": [SERVICES], "data": [DATA]})
CLOSED = values(network={"executor": [EXECUTOR], "services": [SERVICES]})
EVERYWHERE = "every namespace"


def selected(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Kubernetes's meaning of a label selector."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for rule in selector.get("matchExpressions", []):
        there = labels.get(rule["key"])
        if rule["operator"] == "Exists" and there is None:
            return False
        if rule["operator"] == "NotIn" and there in rule["values"]:
            return False
    return True


def reach(of: Values, labels: dict[str, str], namespace: str = "slipway") -> set[str] | None:
    """Where a pod with these labels may connect to; None when no policy restricts it."""
    policies = [
        p["spec"]
        for p in objects(of, "NetworkPolicy")
        if p["metadata"]["namespace"] == namespace
        and selected(p["spec"]["podSelector"], labels)
        and "Egress" in p["spec"]["policyTypes"]
    ]
    if not policies:
        return None
    found = set()
    for rule in (rule for policy in policies for rule in policy.get("egress", [])):
        assert rule.get("to"), "a rule without `to` allows everything"
        for peer in rule["to"]:
            if "ipBlock" in peer:
                found.add(peer["ipBlock"]["cidr"])
            elif "podSelector" in peer:
                found.add("pods beside it")
            else:
                found.add("names" if peer["namespaceSelector"] else EVERYWHERE)
    return found


def labels_of(step: str, data: str = "none") -> dict[str, str]:
    template = dict(pods(OPEN))[step]
    return {k: v.replace("{{inputs.parameters.data}}", data) for k, v in template["metadata"]["labels"].items()}


@pytest.mark.parametrize("of", [OPEN, CLOSED])
def test_training_that_declares_no_data_reaches_only_what_reports_for_it(of: Values) -> None:
    assert reach(of, labels_of("slipway-push/train")) == {EXECUTOR}


def test_a_pod_reaches_what_reports_for_it_at_its_ports_alone() -> None:
    (report,) = [p["spec"] for p in objects(OPEN, "NetworkPolicy") if p["metadata"]["name"] == "report"]
    ports = [{"protocol": "TCP", "port": port} for port in (443, 9000)]
    assert report["egress"] == [{"to": [{"ipBlock": {"cidr": EXECUTOR}}], "ports": ports}]


def asked_for_names(of: Values) -> list[dict[str, Any]]:
    """The rules that let somebody ask for names: nothing else speaks UDP."""
    rules = [rule for p in objects(of, "NetworkPolicy") for rule in p["spec"].get("egress", [])]
    return [rule for rule in rules if any(port["protocol"] == "UDP" for port in rule.get("ports", []))]


def names(namespace: str, port: int, *blocks: str) -> dict[str, Any]:
    pods = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    ports = [{"protocol": protocol, "port": port} for protocol in ("UDP", "TCP")]
    return {"to": [pods, *({"ipBlock": {"cidr": block}} for block in blocks)], "ports": ports}


def test_names_are_asked_for_in_kube_system_where_the_values_say_nothing() -> None:
    assert asked_for_names(CLOSED) == [names("kube-system", 53)] * 4


def test_names_are_asked_for_where_the_values_say_by_everybody_who_may_ask() -> None:
    dns = {"namespace": "openshift-dns", "ports": [5353], "blocks": ["169.254.20.10/32"]}
    of = values(store="s3://models", network={"data": [DATA], "dns": dns})
    assert asked_for_names(of) == [names("openshift-dns", 5353, "169.254.20.10/32")] * 7


def test_training_that_declares_data_reaches_the_blocks_for_it() -> None:
    assert reach(OPEN, labels_of("slipway-push/train", "declared")) == {EXECUTOR, DATA, "names"}


def test_declaring_data_opens_nothing_where_the_operator_named_no_blocks() -> None:
    assert reach(CLOSED, labels_of("slipway-push/train", "declared")) == {EXECUTOR}


@pytest.mark.parametrize("step", [name for name, _ in pods(OPEN) if not name.endswith("/train")])
def test_a_step_of_ours_reaches_services_and_the_cluster(step: str) -> None:
    assert reach(OPEN, labels_of(step)) == {EXECUTOR, SERVICES, "names", EVERYWHERE}


def test_any_other_pod_reaches_nothing() -> None:
    assert reach(OPEN, {"app": "a stranger"}) == set()


def test_a_server_whose_store_is_a_volume_reaches_nothing() -> None:
    assert reach(OPEN, {"app.kubernetes.io/name": "triton"}, "staging") == set()


def test_a_server_whose_store_is_a_bucket_reaches_it() -> None:
    bucket = OPEN.model_copy(update={"store": "s3://models"})
    assert reach(bucket, {"app.kubernetes.io/name": "triton"}, "staging") == {SERVICES, "names"}


@pytest.mark.parametrize("namespace", ["slipway", "staging", "production"])
def test_every_namespace_refuses_what_no_policy_names(namespace: str) -> None:
    specs = {
        p["metadata"]["name"]: p["spec"]
        for p in objects(OPEN, "NetworkPolicy")
        if p["metadata"]["namespace"] == namespace
    }
    assert specs["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


SOURCE, SENSOR, BUS = ({"controller": f"{kind}-controller"} for kind in ("eventsource", "sensor", "eventbus"))
ANYBODY = "anybody"


def bus(kind: str) -> Values:
    native = kind == "native"
    event_bus = {"kind": kind, **({} if native else {"url": "nats://nats.example:4222"})}
    return values(network={"executor": [EXECUTOR], "services": [SERVICES]}, event_bus=event_bus)


def let_in(of: Values, labels: dict[str, str]) -> set[tuple[str, int | None]]:
    """Who may connect to a pod of slipway's namespace with these labels, and at which port; None is every port."""
    policies = [
        p["spec"]
        for p in objects(of, "NetworkPolicy")
        if p["metadata"]["namespace"] == "slipway" and selected(p["spec"]["podSelector"], labels)
    ]
    assert any("Ingress" in policy["policyTypes"] for policy in policies), "no policy restricts it"
    return {
        (who, port)
        for policy in policies
        for rule in policy.get("ingress", [])
        for who in [peer["podSelector"]["matchLabels"]["controller"] for peer in rule.get("from", [])] or [ANYBODY]
        for port in [port["port"] for port in rule.get("ports", [])] or [None]
    }


@pytest.mark.parametrize(("kind", "peer"), [("native", "pods beside it"), ("exotic", SERVICES)])
def test_the_event_source_reaches_the_bus_only(kind: str, peer: str) -> None:
    assert reach(bus(kind), SOURCE) == {"names", peer}


@pytest.mark.parametrize(("kind", "peer"), [("native", "pods beside it"), ("exotic", SERVICES)])
def test_the_sensor_reaches_the_bus_and_the_kubernetes_api(kind: str, peer: str) -> None:
    assert reach(bus(kind), SENSOR) == {"names", peer, EXECUTOR}


def test_the_servers_of_the_bus_reach_each_other_only() -> None:
    assert reach(bus("native"), BUS) == {"names", "pods beside it"}


@pytest.mark.parametrize("labels", [SOURCE, SENSOR, BUS])
def test_of_the_pods_beside_them_those_of_the_bus_alone_are_reached(labels: dict[str, str]) -> None:
    peers = [
        peer["podSelector"]
        for p in objects(bus("native"), "NetworkPolicy")
        if p["metadata"]["namespace"] == "slipway" and selected(p["spec"]["podSelector"], labels)
        for rule in p["spec"].get("egress", [])
        for peer in rule["to"]
        if "podSelector" in peer
    ]
    assert peers == [{"matchLabels": BUS}]


def test_anybody_posts_to_the_event_source_and_reads_its_metrics() -> None:
    assert let_in(bus("native"), SOURCE) == {(ANYBODY, 12000), (ANYBODY, 7777)}


def test_of_the_sensor_anybody_reads_the_metrics() -> None:
    assert let_in(bus("native"), SENSOR) == {(ANYBODY, 7777)}


def test_the_bus_lets_in_whom_it_carries_events_for_and_itself() -> None:
    labels = [SOURCE, SENSOR, BUS]
    assert let_in(bus("native"), BUS) == {(one["controller"], None) for one in labels}


@pytest.mark.parametrize("of", [OPEN, CLOSED])
def test_nobody_is_let_in_to_a_step(of: Values) -> None:
    assert [name for name, template in pods(of) if let_in(of, template["metadata"]["labels"])] == []
