"""What does the pushed commit's page say of each model, from its training to its workflow's end?

What comes after that, the promoter says.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitops.forge import CommitStatus, Forge, StatusState

__all__ = [
    "TRAINING",
    "Ending",
    "Failed",
    "begin",
    "context",
    "endings",
    "finish",
    "hear",
    "refuse",
    "was_heard",
    "was_planned",
    "was_tried",
]

TRAINING = "training"
_PUSH = "slipway"  # the context of a push as a whole
_PREFIX = "slipway/"
# As a step leaves it for Kubernetes: which model it worked on, and what was wrong.
_MODEL = re.compile(r"slipway \[([a-z0-9][a-z0-9_-]{0,62})\]: (.*)", re.DOTALL)
_REFUSED = "(exit code 65)"


@dataclass(frozen=True, slots=True)
class Failed:
    """One step that failed."""

    step: str
    message: str
    template: str = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """What is said of one model when its workflow ends."""

    state: StatusState
    text: str


def context(model: str) -> str:
    """The context of a model's status on a source commit."""
    return f"{_PREFIX}{model}"


def was_heard(statuses: Mapping[str, CommitStatus]) -> bool:
    """Whether a commit's push was heard of: its statuses say what follows from it, or that it was refused.

    An error of the push as a whole says neither.
    """
    push = statuses.get(_PUSH)
    return _of_models(statuses) or (push is not None and push.state != "error")


def was_planned(statuses: Mapping[str, CommitStatus]) -> bool:
    """Whether each model that a commit's push changed was seen to; else the next push has to bring them."""
    push = statuses.get(_PUSH)
    return push.state == "success" or (push.state != "error" and _of_models(statuses)) if push else _of_models(statuses)


def _of_models(statuses: Mapping[str, CommitStatus]) -> bool:
    return any(name.startswith(_PREFIX) for name in statuses)


def was_tried(statuses: Mapping[str, CommitStatus]) -> bool:
    """Whether slipway says anything of a commit."""
    return _PUSH in statuses or _of_models(statuses)


def hear(forge: Forge, commit: str, changed: Sequence[str], deleted: Sequence[str], page: str) -> None:
    """Say what follows from a push, even if it is nothing; raises what the forge raises."""
    parts = [f"{verb} {', '.join(names)}" for verb, names in (("trains", changed), ("retires", deleted)) if names]
    forge.status(commit, _PUSH, "success", "; ".join(parts) or "no model changed", page)


def begin(forge: Forge, commit: str, models: Iterable[str], page: str) -> None:
    """Say that these models are trained now; raises what the forge raises."""
    for model in models:
        forge.status(commit, context(model), "pending", TRAINING, page)


def refuse(forge: Forge, commit: str, problems: Mapping[str, str], page: str) -> None:
    """Say what is wrong with each model of a push that trains nothing; raises what the forge raises."""
    for model, problem in problems.items():
        forge.status(commit, context(model), "failure", problem, page)
    forge.status(commit, _PUSH, "failure", f"trains nothing: errors in {', '.join(problems)}", page)


def finish(
    forge: Forge, commit: str, succeeded: bool, failed: Sequence[Failed], released: Mapping[str, str], page: str
) -> None:
    """Say how it ended for each model of which the commit still says that it is trained; at least that it was heard of.

    What this workflow said of an error is said anew where it has a page: it was tried again. What could not be retired
    is said of the push, for the commit says nothing of that model. released: model -> environment, of those that this
    workflow released. Raises what the forge raises.
    """
    statuses = forge.statuses(commit)
    known = {name.removeprefix(_PREFIX): each for name, each in statuses.items() if name.startswith(_PREFIX)}
    retired = [each for each in failed if each.template == "retire"]
    trained = [each for each in failed if each not in retired]
    training = {
        model
        for model, status in known.items()
        if (status.state, status.description) == ("pending", TRAINING)
        or (page and (status.state, status.url) == ("error", page))
    }
    if others := retired if known else failed:
        # Or the push itself was refused, or it broke and trains no model: what is said of one is all that can be said.
        # Argo names the tries and, in no order, what they were tries of, which says nothing of the cause.
        causes = [each for each in others if _MODEL.search(each.message)] or others
        told = [replace(each, message=_MODEL.sub(r"\1: \2", each.message)) for each in causes]
        only = endings(["push"], succeeded, told, {})["push"]
        # What could not be retired, the next push brings again; a failure beside models would say that it is done.
        forge.status(commit, _PUSH, "error" if known else only.state, only.text, page)
    elif succeeded and (not was_planned(statuses) or ((push := statuses.get(_PUSH)) and push.state != "success")):
        # The forge did not answer when plan wanted to say it; left unsaid, the push would be delivered once more.
        forge.status(commit, _PUSH, "success", "heard of; its workflow succeeded", page)
    if known:  # the forge did not answer when plan wanted to name these, too
        training |= {match[1] for each in trained if (match := _MODEL.search(each.message))} - known.keys()
    for model, ending in endings(sorted(training), succeeded, trained, released).items():
        forge.status(commit, context(model), ending.state, ending.text, page)


def endings(
    models: Collection[str], succeeded: bool, failed: Sequence[Failed], released: Mapping[str, str]
) -> dict[str, Ending]:
    """How the workflow ended for each of `models`.

    A step that was killed says no model; it is said of every model of which nothing else is known.
    """
    named: dict[str, Ending] = {}
    nameless: list[Ending] = []
    # Refusals first: a step that was refused may have been tried before, and Argo lists its tries in no order.
    for each in sorted(failed, key=lambda each: _REFUSED not in each.message):
        state: StatusState = "failure" if _REFUSED in each.message else "error"
        if match := _MODEL.search(each.message):
            named.setdefault(match[1], Ending(state, match[2]))
        else:
            nameless.append(Ending(state, f"{each.step}: {each.message}"))
    found: dict[str, Ending] = {}
    for model in models:
        if model in released:
            found[model] = Ending("pending", f"released to {released[model]}, not served there yet")
        elif model in named:
            found[model] = named[model]
        elif succeeded:
            found[model] = Ending("success", "nothing new to release")
        else:
            found[model] = nameless[0] if nameless else Ending("error", "the workflow ended before it was released")
    return found
