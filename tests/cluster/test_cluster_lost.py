"""What becomes of a push of which the forge told nobody?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cluster import team
from tests.cluster.forge import administrator
from tests.cluster.journey import note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster.journey import Journey
    from tests.cluster.place import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def silence(place: Place, journey: Journey) -> Iterator[Callable[[], None]]:
    """The forge tells nobody of pushes to the models, until the function is called or the test is over."""
    journey.pushed("Take a note of which the forge tells", note("heard"))
    urls = [one["config"]["url"] for one in administrator(place).call("GET", f"/repos/{team.MODELS}/hooks")]
    assert urls
    team.hooks(place, team.MODELS)

    def end() -> None:
        team.hooks(place, team.MODELS, *urls)

    yield end
    end()


def test_a_push_of_which_the_forge_told_nobody_is_caught_up_with(journey: Journey, silence: Callable[[], None]) -> None:
    push = journey.push("Take a note of which the forge tells nobody", note("lost"))
    assert journey.ended(push)["status"]["phase"] == "Succeeded"
    silence()
    told = journey.pushed("Take a note of which the forge tells again", note("heard again"))
    assert told.before == push.commit
