"""What the pushed commit's page says of each model when its workflow ends."""

from __future__ import annotations

import pytest

from gitops.forge import CommitStatus, StatusState
from hera_workflows.source_status import Ending, Failed, endings, was_heard, was_planned

REFUSED = Failed("validate(0)", "main: Error (exit code 65): slipway [digits]: digits is refused: accuracy 0.91 < 0.95")
KILLED = Failed("train(0)", "out of memory: used more than train.memory; raise it in model.yaml")
AWAY = "main: Error (exit code 75): slipway: https://forge.example/models.git does not answer"
BROKEN = Failed("publish(0)", "main: Error (exit code 78): slipway [digits]: the key cannot be read")


def test_a_refused_model_says_why():
    found = endings(["digits"], False, [REFUSED], {})
    assert found == {"digits": Ending("failure", "digits is refused: accuracy 0.91 < 0.95")}


def test_what_is_nobodys_verdict_is_an_error():
    assert endings(["digits"], False, [BROKEN], {})["digits"].state == "error"


def test_one_models_refusal_says_nothing_of_another():
    found = endings(["digits", "line"], False, [REFUSED], {"line": "staging"})
    assert found["line"] == Ending("pending", "released to staging, not served there yet")
    assert found["digits"].state == "failure"


def test_a_step_that_was_killed_is_said_of_the_model_of_which_nothing_else_is_known():
    found = endings(["digits", "line"], False, [REFUSED, KILLED], {})
    assert found["line"] == Ending("error", f"train(0): {KILLED.message}")


def test_a_workflow_that_released_nothing_new_is_no_failure():
    assert endings(["digits"], True, [], {}) == {"digits": Ending("success", "nothing new to release")}


@pytest.mark.parametrize("last", [0, 1])
def test_a_step_that_was_refused_in_a_later_try_is_refused_whichever_try_argo_names_first(last: int):
    tries = [Failed("plan(0)", AWAY), Failed("plan(1)", "main: Error (exit code 65): slipway: no such task")]
    assert endings(["push"], False, [tries[last], tries[1 - last]], {})["push"].state == "failure"


@pytest.mark.parametrize(
    ("state", "heard", "planned"), [("success", True, True), ("failure", True, False), ("error", False, False)]
)
def test_a_push_is_heard_of_when_its_plan_has_judged_it_and_planned_when_that_was_no_refusal(
    state: StatusState, heard: bool, planned: bool
):
    statuses = {"slipway": CommitStatus(state, "", "")}
    assert (was_heard(statuses), was_planned(statuses)) == (heard, planned)


def test_a_push_is_heard_of_when_a_model_was_named_whatever_became_of_the_rest():
    error = CommitStatus("error", "", "")
    assert was_heard({"slipway": error, "slipway/digits": error})


def test_a_push_of_which_a_model_could_not_be_retired_is_brought_by_the_next_one():
    statuses = {"slipway": CommitStatus("error", "", ""), "slipway/digits": CommitStatus("success", "", "")}
    assert (was_heard(statuses), was_planned(statuses)) == (True, False)


def test_what_others_say_of_a_commit_is_not_slipways():
    assert not was_heard({"slipway-lint": CommitStatus("success", "", "")})


def test_a_workflow_that_was_stopped_leaves_nothing_pending():
    assert endings(["digits"], False, [], {})["digits"].state == "error"
