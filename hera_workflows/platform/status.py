"""What does every environment serve, since when, on what evidence, and does git agree?

Two halves: what git wants, which is a function of the branches' commits and so can be kept between calls, and what the
servers say now. Only the standard library is loaded when the first half is known already.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from hera_workflows.platform.files import write
from slipway.errors import Misconfigured

__all__ = ["Note", "Row", "Wanted", "Wish", "compare", "load_wish", "notes_now", "read_index"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What git says about one model in one environment."""

    environment: str
    model: str
    number: int
    since: str  # ISO 8601, the commit's time; empty when history does not reach back that far
    commit: str  # that released it
    verdict: str  # of its evidence: "PASS", "INCONCLUSIVE", "rolled back", "none"


@dataclass(frozen=True, slots=True)
class Note:
    """Something a person should know of an environment: a hold, a freeze, a waiting approval, a broken file."""

    environment: str
    text: str
    start: str | None = None  # ISO 8601: it holds in [start, until), open where None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What git wants of every environment, at one state of its branches."""

    commit: str
    environments: tuple[str, ...]
    wanted: tuple[Wanted, ...]
    notes: tuple[Note, ...]
    unreadable: tuple[tuple[str, str], ...] = ()  # (environment, model) whose release.env says nothing that is clear


@dataclass(frozen=True, slots=True)
class Row:
    """One model in one environment: the wish beside the facts."""

    environment: str
    model: str
    version: int | None  # what git says; None: nothing
    since: str
    verdict: str
    served: tuple[int, ...] | None  # READY in Triton; None: the server does not answer
    agrees: bool | None  # None: unknown
    reason: str  # why not, as far as known


# {model: {version number: (state, reason)}} as Triton says, None when it does not answer.
Index = Mapping[str, Mapping[int, tuple[str, str]]] | None


def compare(wish: Wish, indexes: Mapping[str, Index]) -> list[Row]:
    """A row for each model that git wants or a server serves, by environment in order of promotion, then by name."""
    rows = []
    for environment in wish.environments:
        index = indexes.get(environment)
        wanted = {each.model: each for each in wish.wanted if each.environment == environment}
        unclear = {model for place, model in wish.unreadable if place == environment}
        for model in sorted({*wanted, *unclear, *_serving(index)}):
            rows.append(_row(environment, model, wanted.get(model), index, model in unclear))
    return rows


def _serving(index: Index) -> list[str]:
    return [model for model, numbers in (index or {}).items() if any(s == "READY" for s, _ in numbers.values())]


def _row(environment: str, model: str, wanted: Wanted | None, index: Index, unclear: bool) -> Row:
    since, verdict = (wanted.since, wanted.verdict) if wanted else ("", "")
    number = wanted.number if wanted else None
    if index is None:
        return Row(
            environment, model, number, since, verdict, None, None, "the server does not answer; `slipway up` starts it"
        )
    seen = index.get(model, {})
    served = tuple(sorted(n for n, (state, _) in seen.items() if state == "READY"))
    if unclear:
        stays = "release.env cannot be read, so what is served stays"
        return Row(environment, model, None, since, verdict, served, None, stays)
    if number is None:
        return Row(environment, model, None, since, verdict, served, False, "nothing is released")
    if served == (number,):
        return Row(environment, model, number, since, verdict, served, True, "")
    state, why = seen.get(number, ("", ""))
    reason = (
        f"{why}; `slipway up` tries it again"
        if why
        else (f"version {number} is {state}" if state and state != "READY" else f"version {number} is not loaded")
    )
    return Row(environment, model, number, since, verdict, served, False, reason)


def notes_now(wish: Wish, now: datetime) -> list[Note]:
    """The notes that hold at `now`."""
    return [
        note
        for note in wish.notes
        if (note.start is None or datetime.fromisoformat(note.start) <= now)
        and (note.until is None or now < datetime.fromisoformat(note.until))
    ]


def load_wish(env_repo: str, cache: Path | None) -> Wish:
    """What git wants now; kept in `cache` for as long as no branch of the env repo moves.

    Raises TryAgain when the env repo cannot be reached, Misconfigured when it is empty.
    """
    refs = _refs(env_repo)
    if cache is not None and (kept := _kept(cache, refs)) is not None:
        return kept
    from hera_workflows.platform.wish import read_wish

    wish = read_wish(env_repo)
    if cache is not None:
        write(cache, json.dumps({"refs": refs, "wish": asdict(wish)}).encode())
    return wish


def _refs(env_repo: str) -> str:
    from gitops.git import Git, check_url

    return Git(Path("/nonexistent")).run("ls-remote", "--heads", "--", check_url(env_repo)).decode()


def _kept(cache: Path, refs: str) -> Wish | None:
    # A cache that cannot be read is no cache: everything in it can be read from git again.
    try:
        content = json.loads(cache.read_bytes())
        if content["refs"] != refs:
            return None
        wish = content["wish"]
        return Wish(
            wish["commit"],
            tuple(wish["environments"]),
            tuple(Wanted(**each) for each in wish["wanted"]),
            tuple(Note(**each) for each in wish["notes"]),
            tuple((environment, model) for environment, model in wish["unreadable"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_index(http_port: int, secret: str, *, timeout: float = 2.0) -> Index:
    """What a Triton on this machine says of its models; None when it does not answer within `timeout` seconds.

    Raises Misconfigured when it does not take the secret.
    """
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", http_port, timeout=timeout)
    try:
        connection.request("POST", "/v2/repository/index", body=b"{}", headers={"slipway-control": secret})
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    if answer.status in (401, 403):
        raise Misconfigured(f"port {http_port}: Triton does not take the control secret; run `slipway down` and `up`")
    return _parse_index(json.loads(content)) if answer.status == 200 else None


def _parse_index(entries: Iterable[Mapping[str, str]]) -> Index:
    index: dict[str, dict[int, tuple[str, str]]] = {}
    for entry in entries:
        numbers = index.setdefault(entry["name"], {})
        if entry.get("version", "").isdigit():
            numbers[int(entry["version"])] = (entry.get("state", ""), entry.get("reason", ""))
    return index
