"""Which versions does the environment repository need, and why?

Those served now, held, waiting for an approval, released within the retention, and what a rollback would return to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from gitops.approvals import requests
from gitops.environment_repo import read
from gitops.history import Event, past
from gitops.rollback import last_good
from slipway.version import ModelVersion

__all__ = ["needed_versions"]


def needed_versions(
    env_repo: str,
    retention: timedelta,
    now: datetime,
    stored: Callable[[ModelVersion], bool] = lambda version: True,
) -> Mapping[tuple[str, int | None], Sequence[str]]:
    """Why a version is needed, by (model, number); number None: every version of that model.

    stored: whether the store still has a version; a rollback steps over one that it lost.
    """
    snapshot = read(env_repo)
    found: defaultdict[tuple[str, int | None], list[str]] = defaultdict(list)
    for (environment, model), version in sorted(snapshot.releases.items()):
        found[model, version.number].append(f"served in {environment}")
    for path in sorted(snapshot.broken):
        # What such a file meant to say is unknown, so nothing of that model may go.
        parts = path.split("/")
        if len(parts) > 3:
            found[parts[2], None].append(f"{path} cannot be read")
    for hold in snapshot.holds:
        found[hold.model, hold.number].append(f"held in {hold.environment}")
    for request in requests(env_repo):
        found[request.version.name, request.version.number].append(f"waits for approval in {request.environment}")
    known = past(env_repo, start=snapshot.commit)
    events: defaultdict[tuple[str, str], list[Event]] = defaultdict(list)  # newest first
    for event in reversed(known.events):
        if event.environment is None or event.model is None or not event.released:
            continue
        events[event.environment, event.model].append(event)
        if now - event.when <= retention:
            for past_one, what in ((event.after, "released"), (event.before, "replaced")):
                if past_one is not None:
                    why = f"{what} in {event.environment} on {event.when:%Y-%m-%d}"
                    found[past_one.name, past_one.number].append(why)
    for place, its in events.items():
        back = last_good(snapshot, place[0], snapshot.release(*place), its, known.taken_out.get(place, ()), stored)
        if back is not None:  # however old it is
            found[back.name, back.number].append(f"a rollback in {place[0]} returns to it")
    return found
