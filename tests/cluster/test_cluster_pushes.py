"""What becomes of models that come together, are worse than the one before, or go away?

Every answer is the cluster's, the forge's, git's or Triton's; slipway's own state is not asked.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from hera_workflows.platform.demo import WORSE
from tests.cluster.journey import put
from triton_repo.replay import replay

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.journey import Journey, Push

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def both(journey: Journey) -> Push:
    """Ada has pushed a line and digits together, and the workflow has succeeded."""

    def change(models: Path) -> None:
        put("digits")(models)
        put("line")(models)

    return journey.pushed("Train digits and a line", change)


@pytest.fixture(scope="module")
def number(journey: Journey, both: Push) -> int:
    """The version of digits that came with the line; staging is ready with it."""
    number = journey.version("staging", "digits")
    assert number is not None
    journey.ready("staging", "digits", number)
    return number


@pytest.fixture(scope="module")
def worse(journey: Journey, number: int) -> Push:
    """Ada has pushed digits that hardly learned anything, and its workflow has ended."""
    push = journey.push("Learn more carefully", put("digits", *WORSE))
    assert journey.ended(push)["status"]["phase"] == "Failed"
    return push


def test_two_models_that_are_pushed_together_are_both_served_in_staging(journey: Journey, number: int) -> None:
    line = journey.version("staging", "line")
    assert line is not None
    for model, version in (("line", line), ("digits", number)):
        address = journey.ready("staging", model, version)
        seen = replay(f"{address}:8001", model, version, journey.golden(model, version), count=64, tolerance=1e-3)
        assert (seen.failed, seen.mismatched) == (0, 0)


def test_the_commit_of_a_worse_model_says_why_it_is_refused(journey: Journey, worse: Push) -> None:
    said = journey.said(worse.commit, "slipway/digits") or {}
    assert said["status"] == "failure"
    assert "accuracy" in said["description"]


def test_a_worse_model_is_not_released(journey: Journey, worse: Push, number: int) -> None:
    assert journey.version("staging", "digits") == number
    assert journey.ready("staging", "digits", number)


def test_the_commit_of_a_model_that_asks_for_too_much_memory_says_which_setting_to_raise(journey: Journey) -> None:
    less = ("model.yaml", "train:\n", "train:\n  memory: 512Mi\n")
    greedy = ("model.py", "STRETCH = 30\n", "STRETCH = 30\nnp.ones(1 << 28)\n")
    push = journey.push("Keep everything in memory", put("digits", less, greedy))
    assert journey.ended(push)["status"]["phase"] == "Failed"
    said = journey.said(push.commit, "slipway/digits") or {}
    assert said["description"] == "out of memory: used more than 512Mi; raise train.memory"


def test_what_peoples_code_says_is_no_expression_to_argo(journey: Journey) -> None:
    word = "{{=1+1}} {{workflow.name}}"
    raising = ("model.py", "STRETCH = 30\n", f"STRETCH = 30\nraise ValueError({word!r})\n")
    push = journey.push("Say something odd", put("digits", raising))
    assert journey.ended(push)["status"]["phase"] == "Failed"
    said = journey.said(push.commit, "slipway/digits") or {}
    assert word in said["description"]


def test_a_model_whose_folder_is_deleted_leaves_staging(journey: Journey, both: Push) -> None:
    journey.pushed("Remove the line", lambda models: shutil.rmtree(models / "line"))
    assert journey.version("staging", "line") is None
    journey.gone("staging", "line")
