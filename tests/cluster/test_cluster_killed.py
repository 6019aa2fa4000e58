"""Does a push go the same way to production when every controller is killed in every stage that it has a part in?

KILL_SEED=NUMBER kills at the same moments again. Every answer is the bucket's, the cluster's, the forge's, git's or
Triton's; slipway's own state is not asked.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from slipway.operation import Operation, parse_message
from tests.cluster import team
from tests.cluster.asking import until
from tests.cluster.journey import DELIVERY, JUDGING, failures, put
from tests.cluster.killing import PATIENCE, Killer, Victim, pods
from triton_repo.replay import replay

if TYPE_CHECKING:
    from tests.cluster.journey import Journey, Push

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

MODEL = "digits"
ENVIRONMENTS = ("staging", "production")
INSTANCE = f"app.kubernetes.io/instance={MODEL}"
SEED = int(os.environ.get("KILL_SEED") or time.time())

WORKFLOWS = Victim("argo", "workflow-controller-")
EVENTS = [
    Victim("argo-events", "controller-manager-"),
    Victim("slipway", "slipway-eventsource-"),
    Victim("slipway", "slipway-sensor-"),
]
DELIVERY_OF_RELEASES = [
    Victim("argocd", "argocd-application-controller-"),
    Victim("argocd", "argocd-applicationset-controller-"),
    Victim("argocd", "argocd-repo-server-"),
    Victim("argocd", "argocd-redis-"),
]
PROMOTERS = Victim("slipway", label="slipway/step=promote")
# Seconds from a step's beginning within which it and its controller are killed.
STEPS = {"plan": 5, "train": 15, "validate": 15, "publish": 5, "bump": 5}
# Who has a part in which stage.
STAGES = {
    "event": EVENTS,
    **{step: [WORKFLOWS] for step in STEPS},
    "staging": DELIVERY_OF_RELEASES,
    "promote": [WORKFLOWS, PROMOTERS],
    "production": [*EVENTS, *DELIVERY_OF_RELEASES],
}


@dataclass(frozen=True, slots=True)
class Survived:
    """A push that came to production all the same."""

    push: Push
    number: int
    hit: Counter[tuple[str, Victim]]  # how many processes were killed, by stage and whose they were


@pytest.fixture(scope="module", params=[SEED], ids=lambda seed: f"seed {seed}")
def survived(journey: Journey, request: pytest.FixtureRequest) -> Survived:
    """Ada pushed and Grace merged, and in each stage whatever works on it was killed at a random moment."""
    killer = Killer(journey.kube, random.Random(request.param))
    before = journey.version("staging", MODEL)
    killer.find([WORKFLOWS, *EVENTS, *DELIVERY_OF_RELEASES])
    push = journey.push("Train digits whatever happens", put(MODEL))
    killer.strike("event", 5, STAGES["event"])
    for step, seconds in STEPS.items():
        until(lambda step=step: _begun(journey, push, step), PATIENCE, f"{step} has begun", every=1)
        killer.strike(step, seconds, STAGES[step], [_pod(push, step)])
    number = until(lambda: _other(journey, before), PATIENCE, "staging has another release", every=1)
    killer.strike("staging", 15, STAGES["staging"])
    workflow = journey.ended(push)
    assert workflow["status"]["phase"] == "Succeeded", failures(workflow)
    journey.ready("staging", MODEL, number)
    until(lambda: pods(journey.kube, PROMOTERS) or None, PATIENCE, "the promoter runs")
    killer.strike("promote", 5, STAGES["promote"])
    told = until(lambda: _told(journey, number), PATIENCE, "a request is open and commented", every=1)
    killer.find(STAGES["production"])
    journey.merge(told)
    killer.strike("production", 15, STAGES["production"])
    journey.ready("production", MODEL, number)
    return Survived(push, number, killer.hit)


@pytest.mark.parametrize(
    ("stage", "victim"), [(stage, victim) for stage, victims in STAGES.items() for victim in victims], ids=str
)
def test_nobody_came_through_a_stage_alive(survived: Survived, stage: str, victim: Victim) -> None:
    assert survived.hit[stage, victim] > 0


def test_a_step_was_killed_while_it_worked(survived: Survived) -> None:
    assert sum(survived.hit[step, _pod(survived.push, step)] for step in STEPS) > 0


def test_the_push_became_one_workflow(journey: Journey, survived: Survived) -> None:
    listed = journey.kube.get("workflows", "--namespace=slipway") or {}
    named = [one for one in listed["items"] if one["metadata"]["name"].startswith(f"push-{survived.push.commit[:12]}")]
    assert [(one["metadata"]["name"], one["status"]["phase"]) for one in named] == [
        (survived.push.workflow, "Succeeded")
    ]


def test_the_push_became_one_version(journey: Journey, survived: Survived) -> None:
    manifests = journey.place.path("s3/models", MODEL).glob("*/manifest.json")
    of_push = [m for m in manifests if json.loads(m.read_text())["source_commit"] == survived.push.commit]
    assert [manifest.parent.name for manifest in of_push] == [str(survived.number)]


def test_git_has_one_release_for_each_environment_and_nothing_else(journey: Journey, survived: Survived) -> None:
    recorded = [found for _, message in journey.log() if (found := parse_message(message)) is not None]
    named = [found for found in recorded if _number(found) == survived.number]
    assert [(one.action, one.environment) for one in named] == [("promote", "production"), ("bump", "staging")]
    assert [journey.version(environment, MODEL) for environment in ENVIRONMENTS] == [survived.number] * 2
    for environment in ENVIRONMENTS:
        assert journey.file(f"envs/{environment}/{MODEL}/holds/{survived.number}.json") is None


def test_the_forge_has_one_request_that_was_merged_and_commented_once(journey: Journey, survived: Survived) -> None:
    requests = f"/repos/{team.ENVIRONMENTS}/pulls"
    # The branch is gone once its request is merged; the label keeps its name.
    numbers = [
        one["number"]
        for one in journey.ada.call("GET", f"{requests}?state=all&limit=50")
        if one["head"]["label"] == f"promote/production/{MODEL}-{survived.number}"
    ]
    found = [journey.ada.call("GET", f"{requests}/{number}") for number in numbers]
    assert [(one["merged"], one["merged_by"]["login"]) for one in found] == [(True, "grace")]
    assert len(_comments(journey, found[0])) == 1


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_cluster_is_as_git_says(journey: Journey, survived: Survived, environment: str) -> None:
    def settled() -> bool | None:
        application = journey.kube.get("application", f"{environment}-{MODEL}", "--namespace=argocd") or {}
        status = application.get("status", {})
        return (status["sync"]["status"], status["health"]["status"]) == ("Synced", "Healthy") or None

    def alone() -> bool | None:
        servers = journey.kube.get("pods", f"--namespace={environment}", f"--selector={INSTANCE}") or {}
        return len(servers["items"]) == 1 or None

    until(settled, DELIVERY, f"Argo CD says that {environment} is as git says")
    until(alone, DELIVERY, f"{environment} has one server and none of the version before")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_servers_answer_as_the_model_did_in_training(
    journey: Journey, survived: Survived, environment: str
) -> None:
    address, golden = journey.ready(environment, MODEL, survived.number), journey.golden(MODEL, survived.number)
    seen = replay(f"{address}:8001", MODEL, survived.number, golden, count=64, tolerance=1e-3)
    assert (seen.failed, seen.mismatched) == (0, 0)


def test_the_source_commit_says_that_the_model_is_in_production(journey: Journey, survived: Survived) -> None:
    def said() -> str | None:
        status = journey.said(survived.push.commit, f"slipway/{MODEL}")
        return status["description"] if status and status["status"] == "success" else None

    until(lambda: said() == "served in production" or None, JUDGING, "the source commit's status names production")


def _pod(push: Push, step: str) -> Victim:
    return Victim("slipway", f"{push.workflow}-{step}-")


def _begun(journey: Journey, push: Push, step: str) -> bool | None:
    workflow = journey.kube.get("workflow", push.workflow, "--namespace=slipway") or {}
    nodes = workflow.get("status", {}).get("nodes", {}).values()
    ended = workflow.get("status", {}).get("phase") in ("Failed", "Error")
    assert not ended, failures(workflow)
    return any(node["type"] == "Pod" and node.get("templateName") == step for node in nodes) or None


def _told(journey: Journey, number: int) -> dict[str, Any] | None:
    """The open request, once the promoter has said in it what it sees: whoever opened it may have been killed then."""
    request = journey.request("production", MODEL, number)
    return request if request and _comments(journey, request) else None


def _comments(journey: Journey, request: dict[str, Any]) -> list[Any]:
    found: list[Any] = journey.ada.call("GET", f"/repos/{team.ENVIRONMENTS}/issues/{request['number']}/comments")
    return found


def _other(journey: Journey, than: int | None) -> int | None:
    number = journey.version("staging", MODEL)
    return number if number != than else None


def _number(operation: Operation) -> int | None:
    version = operation.version
    return version.number if version is not None and version.name == MODEL else None
