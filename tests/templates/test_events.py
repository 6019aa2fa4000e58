"""What the event source and the sensor ask of a delivery."""

from __future__ import annotations

import re
from typing import Any

import pytest
from installed import objects, values

PROJECTS = {"source_project": "team/models.v1", "env_project": "team/environments"}


def of(kind: str) -> Any:
    return values(forge={"kind": kind, "url": "https://forge.example", **PROJECTS})


def source(kind: str) -> dict[str, Any]:
    (found,) = objects(of(kind), "EventSource")
    spec = found["spec"]
    return dict((spec.get("github") or spec["gitlab"])["push"])


SECRET = {"name": "slipway-webhook", "key": "secret"}


@pytest.mark.parametrize(
    ("kind", "field"), [("github", "webhookSecret"), ("gitea", "webhookSecret"), ("gitlab", "secretToken")]
)
def test_every_forge_is_asked_for_the_secret(kind: str, field: str) -> None:
    assert source(kind)[field] == SECRET


def test_of_gitlab_the_secret_is_compared_since_there_is_a_url_and_no_webhook_is_made() -> None:
    found = source("gitlab")
    assert found["webhook"]["url"]
    assert not {"projects", "groups", "projectID"} & set(found)


@pytest.mark.parametrize("kind", ["github", "gitea"])
def test_the_event_source_makes_no_webhook_itself(kind: str) -> None:
    assert source(kind)["webhook"]["url"] == ""


@pytest.mark.parametrize("kind", ["github", "gitea", "gitlab"])
def test_the_event_source_sees_no_token_of_the_forge(kind: str) -> None:
    assert "slipway-forge" not in str(source(kind))


def filters(kind: str, dependency: str) -> dict[str, list[re.Pattern[str]]]:
    (sensor,) = objects(of(kind), "Sensor")
    data = next(d["filters"]["data"] for d in sensor["spec"]["dependencies"] if d["name"] == dependency)
    found: dict[str, list[re.Pattern[str]]] = {}
    for one in data:
        found.setdefault(one["path"], []).extend(re.compile(value) for value in one["value"])
    return found


@pytest.mark.parametrize(
    ("kind", "path"), [("github", "repository.full_name"), ("gitlab", "project.path_with_namespace")]
)
@pytest.mark.parametrize(
    ("project", "taken"),
    [("team/models.v1", True), ("Team/Models.V1", True), ("team/models-v1", False), ("team/models.v1x", False)],
)
def test_a_repository_is_taken_by_its_whole_name_in_whatever_case(
    kind: str, path: str, project: str, taken: bool
) -> None:
    (pattern,) = filters(kind, "push")[f"body.{path}"]
    assert bool(pattern.search(project)) == taken


@pytest.mark.parametrize(
    ("after", "taken"), [("a" * 40, True), ("0" * 40, False), ("a" * 39, False), ("A" * 40, False), ("a" * 64, True)]
)
def test_a_commit_is_a_whole_lower_case_id_that_is_not_zero(after: str, taken: bool) -> None:
    assert all(pattern.search(after) for pattern in filters("gitea", "push")["body.after"]) == taken


def starting(sensor: dict[str, Any]) -> list[dict[str, Any]]:
    """The triggers that start workflows."""
    triggers = sensor["spec"]["triggers"]
    return [t for t in triggers if t["template"]["k8s"]["source"]["resource"]["kind"] == "Workflow"]


def test_every_workflow_is_started_at_least_once_with_retries_and_a_dead_letter() -> None:
    (sensor,) = objects(of("gitea"), "Sensor")
    found = [(t["atLeastOnce"], t["retryStrategy"]["steps"], "dlqTrigger" in t) for t in starting(sensor)]
    assert found == [(True, 8, True)] * 2


def test_a_push_to_the_environment_repository_lets_argo_cd_look_for_new_models() -> None:
    (sensor,), (applications,) = objects(of("gitea"), "Sensor"), objects(of("gitea"), "ApplicationSet")
    (refresh,) = [t["template"] for t in sensor["spec"]["triggers"] if t["template"]["name"] == "refresh"]
    named = refresh["k8s"]["source"]["resource"]["metadata"]
    assert (refresh["conditions"], named["name"], named["namespace"]) == (
        "promote",
        applications["metadata"]["name"],
        applications["metadata"]["namespace"],
    )


def test_every_trigger_is_tried_again() -> None:
    (sensor,) = objects(of("gitea"), "Sensor")
    tried_again = {
        t["template"]["name"]: t.get("atLeastOnce") and t["retryStrategy"]["steps"] > 1
        for t in sensor["spec"]["triggers"]
    }
    assert tried_again == {"push": True, "promote": True, "refresh": True}


def test_every_workflow_that_a_trigger_names_is_installed() -> None:
    (sensor,) = objects(of("gitea"), "Sensor")
    triggers = [t for trigger in starting(sensor) for t in (trigger, trigger["dlqTrigger"])]
    named = {t["template"]["k8s"]["source"]["resource"]["spec"]["workflowTemplateRef"]["name"] for t in triggers}
    assert named <= {w["metadata"]["name"] for w in objects(of("gitea"), "WorkflowTemplate")}


def test_no_container_of_the_event_bus_is_without_resources() -> None:
    (bus,) = objects(values(), "EventBus")
    templates = [part for name, part in bus["spec"]["jetstream"].items() if name.lower().endswith("containertemplate")]
    assert [part["resources"]["limits"]["memory"] for part in templates] == ["256Mi"] * 3


def test_a_host_gives_an_ingress_for_exactly_the_webhook() -> None:
    (ingress,) = objects(values(webhook={"host": "events.example.com", "tls_secret": "events-tls"}), "Ingress")
    (rule,) = ingress["spec"]["rules"]
    assert (rule["host"], [p["path"] for p in rule["http"]["paths"]]) == ("events.example.com", ["/push"])


def test_without_a_host_there_is_no_ingress() -> None:
    assert objects(values(), "Ingress") == []
