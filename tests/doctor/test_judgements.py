"""What each check of the cluster itself makes of what it read, one fact a test."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hera_workflows.doctor import (
    capacity,
    definitions,
    installed,
    namespaces,
    rights,
    secrets,
)
from hera_workflows.doctor.finding import Finding, State, exit_code, missing, note, ok, unknown
from hera_workflows.doctor.installation import of_service
from hera_workflows.templates.values import Values

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
URL = "https://git.test/team/environments.git"


def test_a_kind_that_is_not_served_is_named():
    found = definitions.judge("Argo Events", "argoproj.io/v1alpha1", {"Sensor": False, "EventBus": True}, "install it")
    assert found == missing("Argo Events", "the cluster serves no Sensor of argoproj.io/v1alpha1", "install it")


def task_results(*artifact: str, served: bool = True) -> dict[str, object]:
    """The CRD of WorkflowTaskResult with these fields of an artifact."""
    artifacts = {"type": "array", "items": {"properties": {field: {} for field in artifact}}}
    outputs = {"properties": {"artifacts": artifacts}}
    schema = {"openAPIV3Schema": {"properties": {"outputs": outputs}}}
    return {"spec": {"versions": [{"name": "v1alpha1", "served": served, "schema": schema}]}}


def test_argo_workflows_4_is_known_by_a_field_that_3_has_not():
    assert definitions.judge_workflows(task_results("s3", "plugin")).state is State.OK
    found = definitions.judge_workflows(task_results("s3"))
    assert (found.state, found.message) == (State.MISSING, "its WorkflowTaskResult is that of version 3")


@pytest.mark.parametrize(
    "definition",
    [
        {"spec": {"versions": [{"name": "v1alpha1", "served": True, "schema": {"openAPIV3Schema": {}}}]}},
        {"spec": {"versions": [{"name": "v1alpha1", "served": True}]}},
        task_results("s3", "plugin", served=False),
    ],
)
def test_of_argo_workflows_whose_definition_names_no_field_no_version_is_said(definition):
    assert definitions.judge_workflows(definition).state is State.UNKNOWN


def test_a_namespace_that_enforces_less_than_restricted_is_missing_it():
    assert namespaces.judge("staging", {namespaces.ENFORCE: "baseline"}).state is State.MISSING
    assert namespaces.judge("staging", {}).state is State.MISSING
    assert namespaces.judge("staging", None).message == "does not exist"
    assert namespaces.judge("staging", {namespaces.ENFORCE: "restricted"}).state is State.OK


def webhook() -> secrets.Wanted:
    [found] = [each for each in secrets.wanted(Values()) if each.name == "slipway-webhook"]
    return found


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist"),
        ({}, "secret is absent"),
        ({"secret": b""}, "secret is empty"),
        ({"secret": b" \n"}, "secret is empty"),
        ({"secret": b"fifteen bytes.."}, "secret is too short"),
    ],
)
def test_a_webhook_secret_that_lets_others_in_is_missing(content, said):
    found = secrets.judge(webhook(), content)
    assert (found.state, found.message.partition(";")[0]) == (State.MISSING, said)
    assert "kubectl -n slipway create secret generic slipway-webhook" in found.remedy


def test_a_webhook_secret_of_sixteen_bytes_will_do():
    assert secrets.judge(webhook(), {"secret": b"sixteen bytes..."}).state is State.OK


def test_no_value_of_a_secret_is_ever_said():
    found = secrets.judge(webhook(), {"secret": b"hush"})
    assert "hush" not in found.message + found.remedy


def test_a_secret_that_may_be_left_out_is_only_noted():
    [notify] = [each for each in secrets.wanted(Values()) if each.name == "slipway-notify"]
    assert secrets.judge(notify, None).state is State.NOTE


def test_keys_of_a_bucket_are_wanted_only_where_the_store_is_one():
    assert not any("AWS" in key for each in secrets.wanted(Values()) for key in each.keys)
    places = [
        each.namespace for each in secrets.wanted(Values(store="s3://models")) if "AWS_ACCESS_KEY_ID" in each.keys
    ]
    assert places == ["slipway", "slipway", "staging", "production"]


def test_the_certificate_of_the_webhook_is_wanted_where_an_ingress_reads_it():
    webhook = {"host": "events.example.com", "tls_secret": "events-tls"}
    [tls] = [each for each in secrets.wanted(Values(webhook=webhook)) if each.name == "events-tls"]
    assert (tls.namespace, tls.keys) == ("slipway", ("tls.crt", "tls.key"))
    found = secrets.judge(tls, {"tls.crt": b"a certificate"})
    assert (found.state, found.message.partition(";")[0]) == (State.MISSING, "tls.key is absent")
    assert "kubectl -n slipway create secret tls events-tls --cert=FILE --key=FILE" in found.remedy
    assert "events-tls" not in [each.name for each in secrets.wanted(Values(webhook={"tls_secret": "events-tls"}))]


def test_the_password_of_an_event_bus_is_wanted_where_slipway_did_not_make_the_bus():
    exotic = {"kind": "exotic", "url": "nats://nats.example:4222", "access_secret": "bus"}
    [bus] = [each for each in secrets.wanted(Values(event_bus=exotic)) if each.name == "bus"]
    assert (bus.namespace, bus.keys) == ("slipway", ("password",))
    assert "bus" not in [each.name for each in secrets.wanted(Values(event_bus={"access_secret": "bus"}))]


def test_keys_that_are_no_pair_are_found(tmp_path):
    from triton_repo.signing import generate_keys

    for name in ("one", "two"):
        generate_keys(tmp_path / f"{name}.key", tmp_path / f"{name}.pub")
    private, own, other = ((tmp_path / name).read_bytes() for name in ("one.key", "one.pub", "two.pub"))
    assert secrets.judge_pair("staging", private, own).state is State.OK
    assert secrets.judge_pair("staging", private, other).state is State.MISSING
    assert secrets.judge_pair("staging", b"no key", own).message == "no pair of PEM keys (ValueError)"


def test_an_object_that_differs_says_where():
    live = {"kind": "Sensor", "metadata": {"name": "a", "generation": 3}, "spec": {"triggers": [{"a": 1}, {"a": 2}]}}
    applied = {"kind": "Sensor", "metadata": {"name": "a", "generation": 4}, "spec": {"triggers": [{"a": 1}, {"a": 5}]}}
    found = installed.judge("Sensor slipway/a", live, applied)
    assert found is not None
    assert found.message == "differs from what is rendered at spec.triggers.1.a"


def test_what_only_the_api_server_writes_is_no_difference():
    live = {"metadata": {"name": "a", "uid": "1", "resourceVersion": "5"}, "status": {"phase": "new"}}
    assert installed.judge("x", live, {"metadata": {"name": "a", "uid": "1", "resourceVersion": "6"}}) is None


def test_an_object_of_argo_events_that_does_not_run_says_why():
    bad = [{"type": "Deployed", "status": "False", "message": "no event bus"}]
    assert installed.judge_running("Sensor a", bad).message == "Deployed: no event bus"
    assert installed.judge_running("Sensor a", []).message == "no controller has taken it up"
    assert installed.judge_running("Sensor a", [{"type": "Deployed", "status": "True"}]).state is State.OK


def test_a_right_that_is_wanted_and_withheld_is_missing():
    right = rights.Right("create", "argoproj.io", "workflows", "slipway", account="slipway-sensor")
    assert rights.judge(right, True, "slipway") is None
    found = rights.judge(right, False, "slipway")
    assert found is not None
    assert found.message == "may not create workflows.argoproj.io in slipway"


def test_a_right_that_nobody_should_have_is_found():
    right = rights.Right("get", "", "secrets", "slipway", False, "slipway-train")
    assert rights.judge(right, False, "slipway") is None
    found = rights.judge(right, True, "slipway")
    assert found is not None
    assert found.message == "may get secrets in slipway, which it must not"


def test_every_account_of_slipway_is_kept_from_secrets():
    kept = {each.account for each in rights.expected(Values()) if each.resource == "secrets" and not each.allowed}
    assert kept >= {"slipway-read", "slipway-train", "slipway-publish", "slipway-release", "slipway-sensor"}


def claim(phase: str, *modes: str, storage_class: str = "fast") -> dict[str, object]:
    return {"spec": {"accessModes": list(modes), "storageClassName": storage_class}, "status": {"phase": phase}}


def test_a_claim_that_one_node_alone_can_mount_is_enough_for_one_node():
    assert capacity.judge_claim("claim", claim("Bound", "ReadWriteOnce"), 1).state is State.OK
    assert capacity.judge_claim("claim", claim("Bound", "ReadWriteOnce"), 2).state is State.MISSING
    assert capacity.judge_claim("claim", claim("Bound", "ReadWriteMany"), 2).state is State.OK


def test_a_claim_that_waits_for_its_first_pod_is_only_noted():
    assert capacity.judge_claim("claim", claim("Pending", "ReadWriteMany"), 1).state is State.NOTE
    assert capacity.judge_claim("claim", claim("Pending", "ReadWriteMany", storage_class=""), 1).state is State.MISSING
    assert capacity.judge_claim("claim", claim("Lost", "ReadWriteMany"), 1).state is State.MISSING
    assert capacity.judge_claim("claim", None, 1).state is State.MISSING


def test_gpus_of_all_nodes_add_up():
    found = capacity.judge_gpus([{capacity.GPU: "2"}, {}, {capacity.GPU: "6"}, {capacity.GPU: "0"}])
    assert found == ok(capacity.GPU, "8 allocatable on 2 nodes")
    assert capacity.judge_gpus([{}]).state is State.NOTE


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("prometheus.monitoring.svc", ("prometheus", "monitoring")),
        ("prometheus.monitoring.svc.cluster.local", ("prometheus", "monitoring")),
        ("prometheus.example.com", None),
        ("svc", None),
    ],
)
def test_a_services_name_is_told_from_another_hosts(host, service):
    assert of_service(host) == service


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([ok("a", "b"), note("a", "b", "c")], 0),
        ([ok("a", "b"), unknown("a", "b", "c")], 75),
        ([unknown("a", "b", "c"), missing("a", "b", "c")], 78),
        ([], 0),
    ],
)
def test_the_exit_code_is_that_of_the_worst_finding(findings: list[Finding], code: int):
    assert exit_code(findings) == code
