"""What a delivery starts: the rendered EventSource and Sensor on the real Argo Events, asked as a forge asks them."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from hera_workflows.forges import ForgeFlags
from hera_workflows.steps.catch_up import delivery
from hera_workflows.templates.render import render
from tests.cluster import services
from tests.cluster.asking import until
from tests.cluster.deliveries import (
    BEFORE,
    NAMESPACE,
    SECRET,
    Events,
    address,
    commit,
    name,
    pushed,
    pushed_to_gitlab,
    refuse,
    secret,
    values,
    wait_for,
    waits,
)
from tests.cluster.monitors import scrape_configs
from tests.cluster.place import ADDRESS
from tests.cluster.programs import Program, start, stop
from tests.cluster.secrets import remembered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.kube import Kube
    from tests.cluster.place import Place

sys.path.insert(0, str(Path(__file__).parents[1] / "monitoring"))
from questions import alert_queries, ask

pytestmark = pytest.mark.slow
GITLAB = "event-tests-gitlab"  # an event source and a sensor
SHOWN = {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": SECRET.decode()}


@pytest.fixture(scope="module")
def events(place: Place, kube: Kube, about: dict[str, Any]) -> Iterator[Events]:
    kube.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true", seconds=120)
    files = render(values(about, "gitea"))
    wanted = [f"namespaces/{NAMESPACE}.yaml", "access/events.yaml", *(f for f in files if f.startswith("events/"))]
    documents = [document for file in wanted for document in yaml.safe_load_all(files[file])]
    # What it may do in Argo CD's namespace is the installed slipway's.
    documents = [d for d in documents if d["metadata"].get("namespace") in (NAMESPACE, None)]
    for document in documents:
        for trigger in document["spec"]["triggers"] if document["kind"] == "Sensor" else []:
            trigger["retryStrategy"]["steps"] = 2  # of the eight, whose waits are four minutes
    bus = {"username": services.NATS_USER, "password": remembered(place, "nats")}
    secrets = {"slipway-webhook": {"secret": SECRET.decode()}, "slipway-bus": {"password": json.dumps(bus)}}
    kube.apply(documents[:1])
    kube.apply([secret(name, content) for name, content in secrets.items()])
    kube.apply([*documents[1:], *map(waits, ("slipway-push", "slipway-promote", "slipway-dead-letter"))])
    for kind in (f"eventsource-name={NAMESPACE}", f"sensor-name={NAMESPACE}"):
        wait_for(kube, kind)
    pods = kube.get("pods", f"--selector=sensor-name={NAMESPACE}", f"--namespace={NAMESPACE}") or {}
    found = Events(kube, address(kube, NAMESPACE), pods["items"][0]["status"]["podIP"])
    until(lambda: _answers(found) or None, 60, "the event source listens")
    for trigger, repository in (("push", "team/models"), ("promote", "team/environments")):
        until(lambda t=trigger, r=repository: _listens(found, t, r), 60, f"the sensor listens for {trigger}")
    yield found
    kube.run("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", NAMESPACE, "--ignore-not-found")
    kube.run("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def gitlab(kube: Kube, about: dict[str, Any], events: Events) -> Events:
    """Event source and sensor of an installation with GitLab, beside the others; both have another name than theirs."""
    files = render(values(about, "gitlab"))
    source, sensor = (yaml.safe_load(files[f"events/{name}.yaml"]) for name in ("event-source", "sensor"))
    source["metadata"]["name"] = sensor["metadata"]["name"] = GITLAB
    for dependency in sensor["spec"]["dependencies"]:
        dependency["eventSourceName"] = GITLAB
    kube.apply([source, sensor])
    for kind in (f"eventsource-name={GITLAB}", f"sensor-name={GITLAB}"):
        wait_for(kube, kind)
    found = replace(events, address=address(kube, GITLAB))
    until(lambda: _takes(found) or None, 60, "the event source for GitLab takes deliveries")

    def listens() -> bool | None:
        found.post(pushed_to_gitlab(commit("first of GitLab")), SHOWN)
        return name("push", commit("first of GitLab")) in found.workflows() or None

    until(listens, 60, "the sensor for GitLab listens")
    return found


def _listens(events: Events, trigger: str, repository: str) -> bool | None:
    """A sensor that has never run gets what comes after it asked for it, which is some time after its pod is Ready."""
    events.deliver(pushed(commit("first"), repository=repository))
    return name(trigger, commit("first")) in events.workflows() or None


def _answers(events: Events) -> bool:
    try:
        return events.deliver(b"{", secret=b"") == 400
    except OSError:
        return False


def _takes(gitlab: Events) -> bool:
    try:
        return gitlab.post(b"{}", SHOWN) == 200
    except OSError:
        return False


def test_a_push_of_models_starts_the_workflow_that_is_named_after_its_commits(events: Events) -> None:
    after = commit("a push")
    assert events.deliver(pushed(after)) == 200
    assert events.until_started(name("push", after)) == {"before": BEFORE, "after": after}


def test_a_push_to_the_environment_repository_starts_the_promoter(events: Events) -> None:
    after = commit("a merge")
    events.deliver(pushed(after, repository="team/environments"))
    assert events.until_started(name("promote", after)) == {}


def test_a_push_to_a_repository_whose_name_the_values_write_in_another_case_starts_the_workflow(events: Events) -> None:
    after = commit("another case")
    events.deliver(pushed(after, repository="Team/Models"))
    assert events.until_started(name("push", after)) == {"before": BEFORE, "after": after}


def test_a_delivery_that_comes_again_starts_nothing_and_is_no_dead_letter(events: Events) -> None:
    after = commit("twice")
    events.deliver(pushed(after))
    events.until_started(name("push", after))
    begun, done = events.workflows().keys(), events.counted("action_triggered_total", "push")
    events.deliver(pushed(after))
    until(lambda: events.counted("action_triggered_total", "push") > done or None, 60, "the sensor has acted again")
    assert events.workflows().keys() == begun
    assert events.counted("action_retries_failed_total", "push") == 0


FORGED = {
    "with another secret": lambda e, b: e.deliver(b, secret=b"not the secret at all"),
    "with an empty secret": lambda e, b: e.deliver(b, secret=b""),
    "unsigned": lambda e, b: e.post(json.dumps(b).encode(), {"X-GitHub-Event": "push"}),
    "truncated": lambda e, b: e.deliver(json.dumps(b).encode()[:-20]),
    "oversized": lambda e, b: e.deliver({**b, "padding": "x" * (1 << 20)}),
}


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_or_broken_delivery_is_refused_and_starts_nothing(events: Events, how: str) -> None:
    begun, after = events.workflows().keys(), commit(f"after {how}")
    assert FORGED[how](events, pushed(commit(how))) == 400
    events.deliver(pushed(after))
    events.until_started(name("push", after))
    assert events.workflows().keys() == begun | {name("push", after)}


NOT_SHOWN = {
    "nothing": {},
    "another secret": {"X-Gitlab-Token": "not the secret at all"},
    "an empty secret": {"X-Gitlab-Token": ""},
}


@pytest.mark.parametrize("shown", NOT_SHOWN)
def test_a_delivery_of_gitlab_that_does_not_show_the_secret_is_refused(gitlab: Events, shown: str) -> None:
    assert gitlab.post(b"{}", NOT_SHOWN[shown]) == 400


def test_a_delivery_of_gitlab_that_shows_the_secret_is_taken(gitlab: Events) -> None:
    assert gitlab.post(b"{}", SHOWN) == 200


def test_what_catch_up_delivers_for_gitlab_starts_the_workflow(gitlab: Events) -> None:
    flags = ForgeFlags("gitlab", "https://gitlab.example", "team/models", "team/environments", "")
    after = commit("missed")
    headers, body = delivery(flags, "refs/heads/main", BEFORE, after, SECRET.decode())
    assert gitlab.post(body, headers) == 200
    assert gitlab.until_started(name("push", after)) == {"before": BEFORE, "after": after}


@pytest.mark.parametrize(
    ("project", "trigger"), [("team/models", "push"), ("Team/Models", "push"), ("team/environments", "promote")]
)
def test_a_push_in_gitlab_starts_the_workflow_of_its_project(gitlab: Events, project: str, trigger: str) -> None:
    after = commit(f"GitLab {project}")
    assert gitlab.post(pushed_to_gitlab(after, project=project), SHOWN) == 200
    passed = {"before": BEFORE, "after": after} if trigger == "push" else {}
    assert gitlab.until_started(name(trigger, after)) == passed


IGNORED_IN_GITLAB = {
    "another project": pushed_to_gitlab(commit("GitLab project"), project="team/models-of-others"),
    "a project inside": pushed_to_gitlab(commit("GitLab inside"), project="team/models/environments"),
    "a pushed tag": pushed_to_gitlab(commit("GitLab tag"), kind="tag_push"),
    "another branch": pushed_to_gitlab(commit("GitLab branch"), ref="refs/heads/mainly"),
}


@pytest.mark.parametrize("what", IGNORED_IN_GITLAB)
def test_what_is_no_push_to_the_branch_in_gitlab_starts_nothing(gitlab: Events, what: str) -> None:
    begun, after = gitlab.workflows().keys(), commit(f"GitLab after {what}")
    assert gitlab.post(IGNORED_IN_GITLAB[what], SHOWN) == 200
    gitlab.post(pushed_to_gitlab(after), SHOWN)
    gitlab.until_started(name("push", after))
    assert gitlab.workflows().keys() == begun | {name("push", after)}


IGNORED = {
    "another branch": (pushed(commit("branch"), ref="refs/heads/mainly"), "push"),
    "a tag": (pushed(commit("tag"), ref="refs/tags/refs/heads/main"), "push"),
    "a deleted branch": (pushed("0" * 40), "push"),
    "another repository": (pushed(commit("repository"), repository="team/models-of-others"), "push"),
    "a repository that is named by a pattern": (pushed(commit("pattern"), repository="team/model."), "push"),
    "another kind of event": (pushed(commit("kind")), "pull_request"),
    "a commit that is none": (pushed("../../" + commit("hostile")[:34]), "push"),
}


@pytest.mark.parametrize("what", IGNORED)
def test_what_is_no_push_to_the_branch_starts_nothing(events: Events, what: str) -> None:
    body, kind = IGNORED[what]
    begun, after = events.workflows().keys(), commit(f"after {what}")
    assert events.deliver(body, kind=kind) == 200
    events.deliver(pushed(after))
    events.until_started(name("push", after))
    assert events.workflows().keys() == begun | {name("push", after)}


@pytest.fixture(scope="module")
def told(events: Events) -> list[str]:
    """What people are told of, after a push that the API server refuses."""
    after = commit("refused")
    refuse(events.kube, name("push", after))
    events.deliver(pushed(after))

    def letters() -> list[str] | None:
        return [p["lost"] for n, p in events.workflows().items() if n.startswith("dead-letter-")] or None

    return until(letters, 60, "a dead letter")


@pytest.fixture(scope="module")
def prometheus(place: Place, about: dict[str, Any], events: Events) -> Iterator[str]:
    """One that scrapes that event source and sensor as the PodMonitor says; the cluster's has the installed ones."""
    url = f"http://{ADDRESS}:9096"
    monitors = place.write(f"{NAMESPACE}/scraping.yaml", render(values(about, "gitea"))["monitoring/scraping.yaml"])
    content = {"global": {"scrape_interval": "2s"}, "scrape_configs": scrape_configs(monitors, place.kubeconfig)}
    settings = place.write(f"{NAMESPACE}/prometheus.json", content)
    arguments = [
        str(place.program("prometheus", "prometheus")),
        f"--config.file={settings}",
        f"--storage.tsdb.path={place.path(NAMESPACE, 'prometheus')}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--log.level=warn",
    ]
    start(place, Program(f"prometheus-of-{NAMESPACE}", arguments))
    try:
        until(lambda: services.answers(f"{url}/-/ready") or None, 60, "Prometheus answers")
        yield url
    finally:
        stop(f"prometheus-of-{NAMESPACE}")
        shutil.rmtree(place.path(NAMESPACE))


@pytest.fixture(scope="module")
def alert(about: dict[str, Any]) -> str:
    """What tells people of a lost event."""
    return alert_queries(values(about, "gitea"))["SlipwayEventLost"]


def test_an_event_that_no_retry_can_process_is_told_to_people(events: Events, told: list[str]) -> None:
    assert told == [f"push of {commit('refused')[:12]}"]
    assert events.counted("action_retries_failed_total", "push") == 1


def test_an_event_that_no_retry_can_process_is_an_alert(alert: str, told: list[str], prometheus: str) -> None:
    rows = until(lambda: ask(prometheus, alert) or None, 60, "the alert is raised")
    assert [row["metric"] for row in rows] == [{"sensor_name": NAMESPACE, "trigger_name": "push"}]


def test_that_argo_cd_cannot_be_asked_to_look_is_no_alert(alert: str, events: Events, prometheus: str) -> None:
    events.deliver(pushed(commit("not asked"), repository="team/environments"))  # this sensor has no right to ask it
    given_up = 'argo_events_action_retries_failed_total{trigger_name="refresh"} > 0'
    until(lambda: ask(prometheus, given_up) or None, 60, "the sensor has given up")
    assert "refresh" not in {row["metric"]["trigger_name"] for row in ask(prometheus, alert)}
