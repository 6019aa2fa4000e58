"""When a release is live on a cluster, and what is said while it is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gitops.history import Event, Past
from hera_workflows.promoter.live import Application, Deployment, served
from slipway.version import ModelVersion

VERSION = ModelVersion("digits", 3, "sha256:" + "a" * 64)
RELEASE = "b" * 40
PAST = Past(
    events=(),
    places={"a" * 40: 0, RELEASE: 1, "c" * 40: 2},
    released={
        ("staging", "digits"): Event(
            RELEASE, datetime(2026, 3, 1, tzinfo=UTC), "slipway", "", None, "staging", "digits", None, VERSION
        )
    },
    taken_out={},
)
SYNCED = Application("Synced", RELEASE, "Healthy", "Succeeded", "")
RUNNING = Deployment(current=True, wanted=2, replicas=2, updated=2, ready=2, release=VERSION)


def waits_for(application: Application | None = SYNCED, deployment: Deployment | None = RUNNING) -> str | None:
    seen = served(application, deployment, "staging", VERSION, PAST)
    assert seen.live is (seen.waits_for is None)
    return seen.waits_for


def test_a_release_that_is_synced_healthy_and_ready_everywhere_is_live():
    assert waits_for() is None


def test_a_revision_after_the_release_contains_it():
    assert waits_for(replace(SYNCED, revision="c" * 40)) is None


@pytest.mark.parametrize("revision", ["a" * 40, "f" * 40, ""])
def test_a_revision_without_the_release_is_not_live(revision):
    assert waits_for(replace(SYNCED, revision=revision)).endswith("which is before the release")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sync": "OutOfSync"}, "Argo CD says OutOfSync"),
        ({"health": "Progressing"}, "Argo CD says Progressing of its health"),
        ({"health": "Degraded"}, "Argo CD says Degraded of its health"),
        ({"operation": "Running"}, "the sync of Argo CD is Running"),
        ({"operation": "Failed", "message": "no such image"}, "the sync of Argo CD is Failed: no such image"),
        ({"operation": ""}, "the sync of Argo CD is not begun"),
    ],
)
def test_argo_cd_that_is_not_done_is_waited_for(change, said):
    assert waits_for(replace(SYNCED, **change)) == said


def test_an_application_that_is_not_there_yet_is_waited_for():
    assert waits_for(None) == "Argo CD has no Application staging-digits yet"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"current": False}, "the Deployment's change is not taken up yet"),
        ({"updated": 1}, "2 of 2 replicas are ready, 1 of them updated, 2 exist"),
        ({"ready": 1}, "1 of 2 replicas are ready, 2 of them updated, 2 exist"),
        ({"replicas": 3}, "2 of 2 replicas are ready, 2 of them updated, 3 exist"),
        ({"release": None}, "the Deployment serves no release"),
        ({"release": replace(VERSION, number=2)}, "the Deployment serves digits@2"),
        ({"release": replace(VERSION, digest="sha256:" + "b" * 64)}, "the Deployment serves digits@3"),
    ],
)
def test_a_deployment_that_is_not_done_is_waited_for(change, said):
    assert waits_for(deployment=replace(RUNNING, **change)) == said


def test_a_deployment_that_is_not_there_yet_is_waited_for():
    assert waits_for(deployment=None) == "there is no Deployment triton-digits yet"


def test_triton_is_asked_through_the_models_service():
    seen = served(SYNCED, RUNNING, "staging", VERSION, PAST)
    assert (seen.address, seen.replicas) == ("triton-digits.staging.svc:8001", 2)
