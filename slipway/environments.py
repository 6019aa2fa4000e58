"""Which environments there are, in which order a version passes them, and when they stand still."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from slipway.names import Digest, EnvironmentName, ModelName
from slipway.version import ModelVersion

__all__ = ["Accepts", "Environment", "Environments", "Freeze", "Hold"]


Accepts = Literal["direct", "pull-request", "approval"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Freeze(_Value):
    """A time in which an environment takes no promotion. Rollbacks are never frozen."""

    start: AwareDatetime | None = None  # None: already begun
    until: AwareDatetime | None = None  # None: until a person lifts it
    reason: Annotated[str, Field(min_length=1, max_length=500)]

    def covers(self, now: datetime) -> bool:
        """Whether `now` lies in [start, until)."""
        return (self.start is None or self.start <= now) and (self.until is None or now < self.until)


class Hold(_Value):
    """A version that must not come back to an environment until a person releases it."""

    environment: EnvironmentName
    model: ModelName
    number: Annotated[int, Field(ge=1)]
    digest: Digest
    reason: Annotated[str, Field(min_length=1, max_length=1000)]
    since: AwareDatetime

    @classmethod
    def of(cls, version: ModelVersion, environment: str, reason: str, since: datetime) -> Hold:
        """A hold on `version`; a reason that is too long is cut."""
        return cls(
            environment=environment,
            model=version.name,
            number=version.number,
            digest=version.digest,
            reason=reason[:1000],
            since=since,
        )

    @property
    def version(self) -> ModelVersion:
        """What is held."""
        return ModelVersion(self.model, self.number, self.digest)


class Environment(_Value):
    """One environment: where its versions come from and how they may enter."""

    name: EnvironmentName
    after: EnvironmentName | None = None  # None: the first one, which takes every published version
    # direct: nobody is asked; pull-request: a person, unless a model's own policy says automatic; approval: a person.
    accepts: Accepts = "pull-request"
    freezes: list[Freeze] = Field(default_factory=list)


class Environments(_Value):
    """The content of envs/environments.yaml."""

    environments: Annotated[list[Environment], Field(min_length=1, max_length=32)]

    @model_validator(mode="after")
    def _one_chain(self) -> Environments:
        known: set[str] = set()
        for environment in self.environments:
            if environment.name in known:
                raise ValueError(f"environment {environment.name} is listed twice; keep one")
            if environment.after is not None and environment.after not in known:
                raise ValueError(
                    f"environment {environment.name} comes after {environment.after}, "
                    "which is not listed above it; list environments in the order of promotion"
                )
            known.add(environment.name)
        if (firsts := [e.name for e in self.environments if e.after is None]) != [self.environments[0].name]:
            raise ValueError(f"exactly one environment has no `after`, not {', '.join(firsts)}")
        return self

    @property
    def first(self) -> Environment:
        """The environment that takes every published version."""
        return self.environments[0]

    def get(self, name: str) -> Environment | None:
        """The environment of that name."""
        return next((e for e in self.environments if e.name == name), None)

    def following(self, name: str) -> list[Environment]:
        """The environments whose versions come from `name`."""
        return [e for e in self.environments if e.after == name]
