"""Close the requests whose version was meanwhile taken out of the environment that it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.approvals import Request, reject
from gitops.proposal import escape
from hera_workflows.promoter.pull_requests import explain
from slipway.errors import Rejected, SlipwayError

if TYPE_CHECKING:
    from hera_workflows.promoter.scene import Promoter, Scene

__all__ = ["close_stale"]


def close_stale(promoter: Promoter, scene: Scene) -> tuple[list[Request], list[SlipwayError]]:
    """Those that were closed, and what kept others open: the next pass tries them again."""
    forge = promoter.forge.environments if promoter.forge else None
    closed: list[Request] = []
    trouble: list[SlipwayError] = []
    for request in scene.waiting.values():
        environment, version = scene.snapshot.environments.get(request.environment), request.version
        source = environment.after if environment else None
        if source is None or promoter.model not in (None, version.name):
            continue
        hold = scene.snapshot.held(source, version)
        if hold is None and version.number not in scene.past.taken_out.get((source, version.name), ()):
            continue
        reason = f"it was taken out of {source}{f': {hold.reason}' if hold else ''}"
        try:
            # Closed after the branch is gone: an open branch whose request is closed was closed by a person.
            page = explain(forge, request, f"Closed: {escape(reason)}.") if forge else None
            if not _reject(promoter, request, reason):
                continue
            promoter.at("closed")
            closed.append(request)
            if forge is not None and page is not None:
                forge.close(page.number)
        except SlipwayError as error:
            trouble.append(error)
    return closed, trouble


def _reject(promoter: Promoter, request: Request, reason: str) -> bool:
    """False when somebody closed it first, or has proposed another version: the next pass looks again."""
    version = request.version
    try:
        reject(promoter.env_repo, request.environment, version.name, by="the promoter", reason=reason, expected=version)
    except Rejected:
        return False
    return True
