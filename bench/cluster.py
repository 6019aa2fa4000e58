"""How long do a push, a merge and a rollback take on the test cluster?

    python -m tests.cluster up
    python bench/cluster.py

One push of the digits example, seen from outside and counted from where `git push` returns: its workflow is there;
staging is READY with the version; the merged request has production READY; a rollback commit has production READY with
the version before. READY is what whoever connects is told 20 times out of 20, so no server of the version before is
left behind the Service. The time of the train pod is taken off. The aims are 5, 60, 30 and 30 s.
Production must serve digits already, as it does after tests/cluster/test_cluster_story.py.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parents[1]))

from gitops.rollback import rollback
from tests.cluster import network, team
from tests.cluster.asking import until
from tests.cluster.build import built
from tests.cluster.forge import USERS, forge_as
from tests.cluster.journey import Journey, put
from tests.cluster.kube import Kube
from tests.cluster.place import Place, default_folder
from tests.cluster.products import PRODUCTS

MODEL = "digits"


def training(journey: Journey, workflow: str) -> float:
    """Seconds that the train pod took, its start included."""
    found = journey.kube.get("workflow", workflow, "--namespace=slipway") or {}
    pods = [n for n in found["status"]["nodes"].values() if n["type"] == "Pod" and n["templateName"] == "train"]
    times = [(datetime.fromisoformat(n["startedAt"]), datetime.fromisoformat(n["finishedAt"])) for n in pods]
    return sum((end - start).total_seconds() for start, end in times)


def released(journey: Journey, than: int | None) -> int:
    """The number in staging, when it is another one."""

    def answer() -> int | None:
        number = journey.version("staging", MODEL)
        return number if number != than else None

    return until(answer, 600, "staging has another release")


def say(what: str, seconds: float, aim: int) -> None:
    load = " ".join(f"{average:.1f}" for average in os.getloadavg()[:2])
    click.echo(f"{what:<58} {seconds:5.1f} s (aim < {aim} s; load of 1 and 5 minutes {load})")


@click.command()
def main() -> None:
    """Print one line a figure."""
    if not network.exists():
        raise SystemExit("no test cluster is up; run `python -m tests.cluster up`")
    network.enter()
    place = Place(default_folder(), {product.name: built(product) for product in PRODUCTS})
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as scratch:
        ada, grace = (forge_as(place, user) for user in USERS)
        journey = Journey(place, Kube(place), ada, grace, Path(scratch))
        served = journey.version("production", MODEL)
        if served is None:
            raise SystemExit("production serves no digits; run pytest tests/cluster/test_cluster_story.py before")
        before = journey.version("staging", MODEL)

        push = journey.push("Train digits for a figure", put(MODEL))
        began = time.monotonic()
        until(lambda: journey.kube.get("workflow", push.workflow, "--namespace=slipway"), 60, "the workflow is there")
        say("push → workflow started", time.monotonic() - began, 5)
        number = released(journey, before)
        journey.ready("staging", MODEL, number)
        seconds = time.monotonic() - began
        trained = training(journey, push.workflow)
        say(f"push → READY in staging, without {trained:.0f} s of the train pod", seconds - trained, 60)

        request = journey.requested("production", MODEL, number)
        say("READY in staging → request is open", time.monotonic() - began - seconds, 120)
        began = time.monotonic()
        journey.merge(request)
        journey.ready("production", MODEL, number)
        say("merge → READY in production", time.monotonic() - began, 30)

        credentials = Path(scratch, "credentials")
        credentials.write_text(team.credentials(place, team.WRITER))
        os.environ["GIT_CREDENTIALS"] = str(credentials)
        rollback(
            team.url(team.ENVIRONMENTS),
            "production",
            MODEL,
            now=datetime.now(UTC),
            reason="A figure is taken",
            operation_id=f"bench/{push.workflow}",
            by="bench",
        )
        began = time.monotonic()
        back = journey.version("production", MODEL)
        assert back is not None
        assert back < number
        journey.ready("production", MODEL, back)
        say("rollback commit → READY with the version before", time.monotonic() - began, 30)


if __name__ == "__main__":
    main()
