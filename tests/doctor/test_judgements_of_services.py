"""What each check of a service makes of what it read: git, bucket, Argo CD, Prometheus, forge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gitops.forge import Allowed, Protection
from hera_workflows.doctor import (
    approval,
    autoscaling,
    bucket,
    clocks,
    delivery,
    metrics,
    repositories,
    source_token,
)
from hera_workflows.doctor.finding import Finding, State, missing, note, ok
from slipway.errors import Misconfigured, TryAgain

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
URL = "https://git.test/team/environments.git"


def test_a_repository_without_the_branch_that_is_built_is_missing_it():
    assert repositories.judge_heads(URL, "main", frozenset({"main"}), "").state is State.OK
    assert repositories.judge_heads(URL, "main", frozenset({"master"}), "").message == "has no branch main"
    assert repositories.judge_heads(URL, "main", None, "no such host").message == "no such host"


def test_environments_that_differ_from_the_values_are_found():
    assert repositories.judge_environments(URL, ["production", "staging"], ("staging", "production")).state is State.OK
    assert repositories.judge_environments(URL, ["staging"], ("staging", "production")).state is State.MISSING


@pytest.mark.parametrize(
    ("wanted", "pushed", "reason", "state"),
    [
        (True, True, "", State.OK),
        (True, False, "403", State.MISSING),
        (False, False, "403", State.OK),
        (False, True, "", State.MISSING),
        (True, True, "the branch was left behind", State.NOTE),
    ],
)
def test_who_writes_may_and_who_reads_may_not(wanted, pushed, reason, state):
    assert repositories.judge_write("it", wanted, pushed, reason).state is state


def test_a_bucket_that_refuses_its_writer_says_so():
    assert bucket.judge("it", "put", None).state is State.OK
    assert bucket.judge("it", "put", Misconfigured("403")).state is State.MISSING
    assert bucket.judge_refused("it", Misconfigured("403")).state is State.OK
    assert bucket.judge_refused("it", None).state is State.MISSING


def test_a_bucket_that_does_not_answer_has_refused_nothing():
    assert bucket.judge_refused("it", TryAgain("503")).state is State.UNKNOWN


def application_set(url: str = URL, **condition: str) -> dict[str, object]:
    status = {"conditions": [condition]} if condition else {}
    return {"spec": {"generators": [{"git": {"repoURL": url}}]}, "status": status}


def test_an_application_set_of_another_repository_is_found():
    assert delivery.judge_set(URL, application_set()).state is State.OK
    assert delivery.judge_set(URL, application_set("https://other")).message == f"watches https://other, not {URL}"
    assert delivery.judge_set(URL, None).state is State.MISSING


def test_an_application_set_that_cannot_read_says_why():
    found = delivery.judge_set(URL, application_set(type="ErrorOccurred", status="True", message="no credential"))
    assert (found.state, found.message) == (State.MISSING, "no credential")


def application(sync: str = "Synced", url: str = URL, error: str = "") -> dict[str, object]:
    conditions = [{"type": "ComparisonError", "message": error}] if error else []
    status = {"sync": {"status": sync}, "health": {"status": "Healthy"}, "conditions": conditions}
    return {"spec": {"source": {"repoURL": url}}, "status": status}


def judged(found: dict[str, object] | None) -> Finding:
    return delivery.judge_application("staging-digits", URL, found, "gitops")


def test_a_release_without_an_application_is_found():
    assert judged(None).state is State.MISSING
    assert judged(application()).state is State.OK
    assert judged(application("OutOfSync")).state is State.NOTE
    assert judged(application(url="other")).state is State.MISSING
    assert judged(application(error="no access")).message == "no access"


def test_why_there_is_no_application_is_asked_in_argo_cds_own_namespace():
    assert judged(None).remedy == "kubectl -n gitops describe applicationset slipway says why it was not made"


@pytest.mark.parametrize(
    ("path", "text", "asks"),
    [
        ("envs/staging/digits/kustomization.yaml", "components: [../../base/autoscaling]", True),
        ("envs/base/kustomization.yaml", "components: [installation, autoscaling]", True),
        ("envs/base/kustomization.yaml", "components: [installation]", False),
        ("envs/staging/digits/kustomization.yaml", "resources: [../../base]\ncomponents:", False),
        ("envs/staging/digits/kustomization.yaml", "components: [", False),
        ("envs/staging/digits/kustomization.yaml", "components: !!int x", False),
        ("envs/staging/digits/kustomization.yaml", "", False),
    ],
)
def test_folders_that_name_the_component_ask_for_autoscaling(path, text, asks):
    folder = path.removesuffix("/kustomization.yaml")
    assert autoscaling.asking({path: text.encode()}) == ([folder] if asks else [])


def test_keda_is_missed_only_where_autoscaling_is_asked_for():
    folders = ["envs/staging/digits"]
    assert autoscaling.judge([], served=False, measured=False).state is State.OK
    assert autoscaling.judge(folders, served=True, measured=True).state is State.OK
    for served in (False, True):
        found = autoscaling.judge(folders, served, measured=False)
        assert (found.state, "envs/staging/digits asks" in found.message) == (State.MISSING, True)


def test_a_job_that_is_down_is_told_from_one_that_is_not_scraped():
    up = {"slipway-workflows": 1.0, "slipway-events": 0.0}
    assert [found.message for found in metrics.judge_jobs(up)] == ["is scraped", "does not answer", "is not scraped"]


def test_series_without_our_labels_are_found():
    whole = {"environment": "staging", "model": "digits", "version": "3", "serves": "digits"}
    assert metrics.judge_labels([whole], True).state is State.OK
    lacking = {key: value for key, value in whole.items() if key not in ("environment", "serves")}
    assert metrics.judge_labels([whole, lacking], True).message == "some have no label environment, serves"


def test_no_series_is_wrong_only_when_something_is_released():
    assert metrics.judge_labels([], False).state is State.NOTE
    assert metrics.judge_labels([], True).state is State.MISSING


def test_a_released_version_that_nobody_has_loaded_is_found():
    assert metrics.judge_version("staging", "digits", 3, {("staging", "digits", "3")}).state is State.OK
    assert metrics.judge_version("staging", "digits", 3, {("staging", "digits", "2")}).state is State.MISSING


def protection(approvals: int = 1) -> Protection:
    return Protection(approvals=approvals, pushers=None, mergers=None)


def test_a_branch_that_anybody_may_write_is_found():
    assert approval.judge_protection("main", "bot", None).state is State.MISSING
    assert approval.judge_protection("main", "bot", protection()).state is State.OK
    assert approval.judge_protection("main", "bot", protection(approvals=0)).state is State.NOTE


@pytest.mark.parametrize(
    ("mergers", "said"),
    [
        (Allowed(logins=("ada",), others=("ml",)), "ada, ml may merge"),
        (Allowed(), "nobody may merge"),
        (Allowed(everybody=True), "whoever may write may merge"),
        (None, "it does not show the token who may merge"),
    ],
)
def test_who_may_approve_is_said(mergers: Allowed | None, said: str):
    found = Protection(approvals=1, pushers=None, mergers=mergers)
    assert approval.judge_protection("main", "bot", found).message == f"is protected; approvals needed: 1; {said}"


def test_a_branch_that_keeps_slipway_itself_out_is_found():
    for pushers in (Allowed(), Allowed(logins=("ada",))):
        found = approval.judge_pushers("main", "bot", pushers)
        assert found == missing(
            "main", "does not let bot push", "let bot push without a request: it writes the first environment"
        )


def test_of_a_branch_that_lets_slipway_alone_in_nothing_is_said():
    assert approval.judge_pushers("main", "bot", Allowed(logins=("bot",))) is None


def test_who_else_may_push_to_the_branch_is_named():
    assert approval.judge_pushers("main", "bot", Allowed(logins=("ada", "bot"), others=("ml",))) == note(
        "main", "lets ada, ml push, too: a push asks nobody for approval", "let bot alone push"
    )


@pytest.mark.parametrize(("pusher", "who"), [("bot", "bot"), (None, "the user of the credential that writes")])
def test_a_branch_that_lets_everybody_push_lets_them_pass_approval(pusher: str | None, who: str):
    assert approval.judge_pushers("main", pusher, Allowed(everybody=True)) == missing(
        "main", "lets whoever may write push, and so release to production without a request", f"let {who} alone push"
    )


def test_pushers_that_cannot_be_seen_are_for_a_person_to_look_at():
    assert approval.judge_pushers("main", "bot", None) == note(
        "main",
        "does not show the token who may push",
        "see that bot alone may: a push asks nobody for approval",
    )


def test_a_role_that_slipway_may_have_is_for_a_person_to_look_at():
    assert approval.judge_pushers("main", "bot", Allowed(logins=("ada",), others=("Maintainers", "ml"))) == note(
        "main",
        "lets Maintainers, ml push; whether bot is one of them cannot be seen from here",
        "see that bot is: it writes the first environment",
    )


def test_who_pushes_is_read_from_the_credential_of_that_host():
    lines = "https://other:x@elsewhere.test\nhttps://the%20bot:secret@git.test\n"
    assert approval.login(lines, URL) == "the bot"
    assert approval.login("", URL) is None


def test_a_token_of_the_source_that_reads_the_environments_is_worth_a_look():
    assert source_token.judge("gitea", "bot", None) == ok("gitea", "knows the token as bot")
    assert source_token.judge("gitea", "bot", "team/environments") == note(
        "gitea",
        "knows the token as bot, and shows it team/environments",
        "see that it may not write there, where it could release; its account needs nothing of team/environments",
    )


def test_a_line_that_is_no_address_hides_no_other():
    assert approval.login("https://[bot:secret\nhttps://bot:secret@git.test\n", URL) == "bot"


def test_clocks_may_differ_by_half_a_minute():
    assert clocks.judge("a", NOW, "b", NOW + timedelta(seconds=30)).state is State.OK
    assert clocks.judge("a", NOW + timedelta(seconds=31), "b", NOW).message == "is 31 s from b"
