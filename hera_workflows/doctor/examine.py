"""Which checks are there, and in which order?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hera_workflows.doctor import (
    approval,
    autoscaling,
    bucket,
    capacity,
    clocks,
    definitions,
    delivery,
    installed,
    metrics,
    namespaces,
    repositories,
    rights,
    secrets,
    source_token,
)
from hera_workflows.doctor.finding import Finding, unknown
from hera_workflows.doctor.installation import Installation
from slipway.errors import SlipwayError

__all__ = ["AREAS", "examine"]

# What others need comes first: a kind that is not served explains an object that is not there.
AREAS: dict[str, Callable[[Installation], Iterator[Finding]]] = {
    "clocks": clocks.check,
    "definitions": definitions.check,
    "namespaces": namespaces.check,
    "secrets": secrets.check,
    "manifests": installed.check,
    "rights": rights.check,
    "capacity": capacity.check,
    "repositories": repositories.check,
    "store": bucket.check,
    "delivery": delivery.check,
    "autoscaling": autoscaling.check,
    "metrics": metrics.check,
    "approval": approval.check,
    "source token": source_token.check,
}


def examine(installation: Installation) -> Iterator[tuple[str, Finding]]:
    """Every finding with its area, in the order of AREAS; an area that cannot be asked is one finding more."""
    for area, check in AREAS.items():
        try:
            for finding in check(installation):
                yield area, finding
        except SlipwayError as error:
            yield (
                area,
                unknown(area, str(error), "once that is mended, run slipway doctor again: more may be found here"),
            )
        except ImportError as error:
            yield area, unknown(area, f"the library {error.name} is not installed", "install slipway[all]")
