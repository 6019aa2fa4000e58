"""Who may do what, and with which credential."""

from __future__ import annotations

from typing import Any

import pytest
from installed import objects, pods, role_rules, values

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
