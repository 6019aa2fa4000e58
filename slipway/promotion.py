"""Decide what to do next with one released version: wait, ask, merge, roll back, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.environments import Accepts, Freeze, Hold
from slipway.judge import Judgement
from slipway.spec import Promotion
from slipway.verdict import Outcome, Verdict
from slipway.version import ModelVersion

__all__ = ["Merge", "Nothing", "Open", "Rollback", "Situation", "Step", "Target", "Wait", "next_step"]


@dataclass(frozen=True, slots=True)
class Wait:
    """Time or traffic will settle it; look again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Open:
    """Ask for the promotion into `environment`."""

    environment: str
    reason: str


@dataclass(frozen=True, slots=True)
class Merge:
    """Merge the open request into `environment`; no person is needed."""

    environment: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rollback:
    """Take the version out of the environment that it was judged in, and hold it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """It is done, or a person has to act; looking again changes nothing."""

    reason: str


Step = Wait | Open | Merge | Rollback | Nothing


@dataclass(frozen=True, slots=True)
class Target:
    """The next environment, as it stands for this model."""

    environment: str
    accepts: Accepts
    serves: ModelVersion | None  # what is released there
    hold: Hold | None  # on this version: rolled back, or its request was rejected
    freeze: Freeze | None  # that covers now
    left: bool  # a person took this version out, and nobody has let it in again
    request_open: bool  # for exactly this version
    page: str | None = None  # of the request on the forge, where people decide; None: there is no forge


@dataclass(frozen=True, slots=True)
class Situation:
    """One version where it is released, what was seen of it, and where it may go."""

    environment: str
    version: ModelVersion
    policy: Promotion
    validation: Outcome
    judgement: Judgement
    hold: Hold | None  # on this version, in the environment that serves it
    target: Target | None  # None: this is the last environment
    returned: bool = False  # it came back here in the place of a newer one


def next_step(now: Situation) -> Step:
    """The one thing to do. Only FAIL rolls back, only PASS promotes, and a version never replaces a newer one.

    Rollbacks are never frozen. What came back in the place of a newer one is not rolled back by itself: two that fail
    one after the other speak of something else than the version, and each step back would hold one more. A version that
    is on hold where it is served goes no further. An INCONCLUSIVE validation is never merged without a person.
    """
    if now.judgement.verdict is Verdict.FAIL:
        return _after_failure(now)
    if now.target is None:
        if now.judgement.verdict is Verdict.PASS:
            return Nothing(f"{now.environment} is the last environment")
        return Wait(now.judgement.reason)
    if (settled := _settled(now.version, now.target)) is not None:
        return settled
    if now.hold is not None:
        return Nothing(_held(now.environment, now.hold, now.version))
    if now.judgement.verdict is not Verdict.PASS:
        return Wait(now.judgement.reason)
    return _forward(now, now.target)


def _after_failure(now: Situation) -> Step:
    if now.hold is not None:
        return Nothing(f"held already, but still released: there is no good version before it in {now.environment}")
    if now.policy.rollback == "off":
        return Nothing(f"model.yaml says rollback: off; run `slipway rollback {now.environment} {now.version.name}`")
    if now.returned:
        return Nothing(
            f"it came back in the place of a newer one, and fails, too ({now.judgement.reason}): look for a cause "
            f"outside of the model; `slipway rollback {now.environment} {now.version.name}` goes back further"
        )
    return Rollback(now.judgement.reason)


def _settled(version: ModelVersion, target: Target) -> Nothing | None:
    if target.serves == version:
        return Nothing(f"{target.environment} has it already")
    if target.hold is not None:
        return Nothing(_held(target.environment, target.hold, version))
    if target.left:
        return Nothing(
            f"somebody took it out of {target.environment}; "
            f"`slipway release-hold {target.environment} {version}` lets it go on"
        )
    if target.serves is not None and target.serves.number >= version.number:
        return Nothing(f"{target.environment} has {target.serves}; only newer versions follow by themselves")
    return None


def _held(environment: str, hold: Hold, version: ModelVersion) -> str:
    return f"held in {environment}: {hold.reason}; `slipway release-hold {environment} {version}` lets it go on"


def _forward(now: Situation, target: Target) -> Step:
    if target.freeze is not None:
        until = f"until {target.freeze.until:%Y-%m-%d %H:%M %Z}" if target.freeze.until else "until it is lifted"
        return Wait(f"{target.environment} is frozen {until}: {target.freeze.reason}")
    if not target.request_open:
        return Open(target.environment, now.judgement.reason)
    if now.validation is not Outcome.PASS:
        return Nothing(f"validation was {now.validation}, so a person decides: {_asked(now.version, target)}")
    # Who may push a model.yaml chooses the model's policy; what the environment says comes first.
    if target.accepts == "direct" or (target.accepts == "pull-request" and now.policy.approval == "automatic"):
        return Merge(target.environment, now.judgement.reason)
    return Nothing(f"waits for approval: {_asked(now.version, target)}")


def _asked(version: ModelVersion, target: Target) -> str:
    return target.page or f"`slipway approve {target.environment} {version.name}`"
