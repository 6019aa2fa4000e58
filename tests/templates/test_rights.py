"""Who may do what, and with which credential."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from installed import objects, pods, role_rules, values

from hera_workflows.templates.values import Values

BUCKET = values(store="s3://models")
STEPS = [pytest.param(name, template, id=name) for name, template in pods(BUCKET)]


def secrets_of(template: dict[str, Any]) -> set[str]:
    """The Secrets that a step's container sees, as files or variables."""
    container = template["container"]
    named = {"keys": "slipway-signing", "git-read": "slipway-git-read", "git-write": "slipway-git-write"}
    files = {named[mount["name"]] for mount in container["volumeMounts"] if mount["name"] in named}
    single = {v["valueFrom"]["secretKeyRef"]["name"] for v in container["env"] if "valueFrom" in v}
    return files | single | {source["secretRef"]["name"] for source in container.get("envFrom", [])}


@pytest.mark.parametrize(
    ("account", "rights"),
    [
        ("slipway-read", set()),
        ("slipway-train", set()),
        ("slipway-publish", set()),
        ("slipway-event-source", set()),
        ("slipway-executor", {("slipway", "workflowtaskresults", v) for v in ("create", "patch")}),
        ("slipway-train-executor", {("slipway", "workflowtaskresults", v) for v in ("create", "patch")}),
        (
            "slipway-sensor",
            {("slipway", "workflows", v) for v in ("get", "create", "patch")}
            | {("argocd", "applicationsets", v) for v in ("get", "patch")},
        ),
        (
            "slipway-release",
            {("argocd", "applications", "list")}
            | {
                (environment, resource, "list")
                for environment in ("staging", "production")
                for resource in ("deployments", "configmaps")
            },
        ),
    ],
)
def test_an_account_may_do_exactly_this(account: str, rights: set[tuple[str, str, str]]) -> None:
    assert role_rules(values(), account) == rights


def test_who_judges_releases_looks_for_applications_where_it_may_read_them() -> None:
    elsewhere = values(argocd_namespace="delivery")
    args = next(template["container"]["args"] for _, template in pods(elsewhere) if template["name"] == "promote")
    place = args[args.index("--argocd-namespace") + 1]
    assert (place, "applications", "list") in role_rules(elsewhere, "slipway-release")


def test_nothing_is_granted_in_the_whole_cluster() -> None:
    assert [o["kind"] for o in objects(values()) if o["kind"].startswith("Cluster")] == []


def policy(of: Values, name: str = "sensor") -> dict[str, Any]:
    policies = {each["metadata"]["name"]: each for each in objects(of, "ValidatingAdmissionPolicy")}
    return policies[f"{of.namespace}-{name}"]


def test_who_reports_for_training_is_whom_a_policy_watches_and_reports_for_nobody_else() -> None:
    elsewhere = values(namespace="ml")
    spec = policy(elsewhere, "training")["spec"]
    reports = {name: template.get("executor", {}).get("serviceAccountName") for name, template in pods(elsewhere)}
    who = reports.pop("slipway-push/train")
    assert set(reports.values()) == {None}
    assert [each["expression"] for each in spec["matchConditions"]] == [
        f"request.userInfo.username == 'system:serviceaccount:ml:{who}'"
    ]
    assert spec["matchConstraints"]["resourceRules"][0]["resources"] == ["workflowtaskresults"]


def test_who_may_patch_an_application_set_is_whom_a_policy_watches() -> None:
    elsewhere = values(namespace="ml")
    accounts = [account["metadata"]["name"] for account in objects(elsewhere, "ServiceAccount")]
    (who,) = [a for a in accounts if ("argocd", "applicationsets", "patch") in role_rules(elsewhere, a)]
    watched = [condition["expression"] for condition in policy(elsewhere)["spec"]["matchConditions"]]
    assert watched == [f"request.userInfo.username == 'system:serviceaccount:ml:{who}'"]


def test_the_policy_watches_every_change_of_an_application_set_where_it_may_be_patched() -> None:
    elsewhere = values(argocd_namespace="delivery")
    rule = {"apiGroups": ["argoproj.io"], "apiVersions": ["*"], "operations": ["UPDATE"]}
    assert ("delivery", "applicationsets", "patch") in role_rules(elsewhere, "slipway-sensor")
    assert policy(elsewhere)["spec"]["matchConstraints"] == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "delivery"}},
        "resourceRules": [{**rule, "resources": ["applicationsets"]}],
    }


@pytest.mark.parametrize("kept", ["spec", "metadata.?labels", "metadata.?finalizers", "metadata.?ownerReferences"])
def test_the_policy_demands_that_this_stays_as_it_was(kept: str) -> None:
    demands = [validation["expression"] for validation in policy(values())["spec"]["validations"]]
    assert f"object.{kept} == oldObject.{kept}" in demands


def test_the_one_annotation_that_the_policy_lets_change_is_the_one_that_the_sensor_writes() -> None:
    (sensor,) = objects(values(), "Sensor")
    patched = [t["template"]["k8s"]["source"]["resource"] for t in sensor["spec"]["triggers"]]
    (written,) = [set(r["metadata"]["annotations"]) for r in patched if r["kind"] == "ApplicationSet"]
    demands = [validation["expression"] for validation in policy(values())["spec"]["validations"]]
    assert {key for demand in demands for key in re.findall("key == '(.*?)'", demand)} == written


@pytest.mark.parametrize("name", ["sensor", "training"])
def test_what_breaks_a_policy_or_cannot_be_judged_is_refused(name: str) -> None:
    bindings = {
        each["metadata"]["name"]: each["spec"] for each in objects(values(), "ValidatingAdmissionPolicyBinding")
    }
    assert bindings[f"slipway-{name}"] == {"policyName": f"slipway-{name}", "validationActions": ["Deny"]}
    assert policy(values(), name)["spec"]["failurePolicy"] == "Fail"


@pytest.mark.parametrize(("name", "template"), STEPS)
def test_no_template_takes_what_steps_said_as_it_is(name: str, template: dict[str, Any]) -> None:
    assert not re.search(r"\{\{\s*(workflow\.failures|lastRetry\.message)", json.dumps(template))


def test_two_installations_name_nothing_alike_that_belongs_to_the_cluster() -> None:
    one, other = (
        {(o["kind"], o["metadata"]["name"]) for o in objects(of) if "namespace" not in o["metadata"]}
        for of in (values(namespace="one", environments=["first"]), values(namespace="other", environments=["second"]))
    )
    assert one & other == set()


def test_only_the_sensor_and_who_judges_releases_get_a_token_by_their_account() -> None:
    accounts = objects(values(), "ServiceAccount")
    tokens = {a["metadata"]["name"] for a in accounts if a["automountServiceAccountToken"]}
    assert tokens == {"slipway-sensor", "slipway-release"}


@pytest.mark.parametrize(("name", "template"), STEPS)
def test_every_account_that_a_step_names_is_installed(name: str, template: dict[str, Any]) -> None:
    assert template["serviceAccountName"] in {a["metadata"]["name"] for a in objects(BUCKET, "ServiceAccount")}


def test_training_sees_no_secret_at_all() -> None:
    assert secrets_of(dict(pods(BUCKET))["slipway-push/train"]) == set()


@pytest.mark.parametrize(
    ("secret", "steps"),
    [
        ("slipway-signing", {"publish"}),
        ("slipway-webhook", {"catch-up"}),
        ("slipway-store-write", {"publish", "gc"}),
        ("slipway-git-write", {"bump", "retire", "promote"}),
        ("slipway-forge", {"promote"}),
        ("slipway-forge-source", {"plan", "catch-up", "report-outcome"}),
    ],
)
def test_a_credential_that_writes_or_signs_is_seen_by_these_steps_only(secret: str, steps: set[str]) -> None:
    assert {name.split("/")[1] for name, template in pods(BUCKET) if secret in secrets_of(template)} == steps


@pytest.mark.parametrize(("name", "template"), STEPS)
def test_a_step_has_one_credential_for_git_and_one_for_the_store_at_most(name: str, template: dict[str, Any]) -> None:
    seen = secrets_of(template)
    assert not {"slipway-git-read", "slipway-git-write"} <= seen
    assert not {"slipway-store-read", "slipway-store-write"} <= seen


def test_a_store_on_a_volume_needs_no_credential() -> None:
    seen = set[str]().union(*(secrets_of(template) for _, template in pods(values(store="/store"))))
    assert not {name for name in seen if "store" in name}


def test_a_store_in_a_bucket_is_no_volume() -> None:
    workflows = objects(BUCKET, "WorkflowTemplate")
    assert "store" not in {volume["name"] for workflow in workflows for volume in workflow["spec"]["volumes"]}


@pytest.mark.parametrize("namespace", ["slipway", "staging", "production"])
def test_every_namespace_enforces_restricted_pods(namespace: str) -> None:
    labels = {n["metadata"]["name"]: n["metadata"]["labels"] for n in objects(values(), "Namespace")}
    assert labels[namespace]["pod-security.kubernetes.io/enforce"] == "restricted"
