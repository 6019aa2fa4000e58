"""What was seen of one served version, before anybody judged it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from slipway.names import Digest, EnvironmentName, ModelName

__all__ = ["Observation", "Replay"]

Count = Annotated[float, Field(ge=0)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Replay(_Value):
    """Golden requests sent to the served version by the promoter itself."""

    sent: Annotated[int, Field(ge=0)]
    failed: Annotated[int, Field(ge=0)]  # no answer, or an error
    late: Annotated[int, Field(ge=0)] = 0  # of failed: nothing came within the time limit
    mismatched: Annotated[int, Field(ge=0)]  # an answer outside the tolerance
    p95_ms: Count | None = None


class Observation(_Value):
    """Everything that the promoter saw of one version in one environment.

    None is "no such measurement": absent, empty, NaN or infinite. `errors` says what could not be measured at all.
    """

    environment: EnvironmentName
    model: ModelName
    number: Annotated[int, Field(ge=1)]
    digest: Digest
    observed_at: AwareDatetime
    window_seconds: Count  # the stretch of time that the counts cover
    reconciled: bool | None  # the servers were told to serve exactly this version
    waits_for: str | None = None  # what the platform has yet to do for that; None: nothing, or it cannot tell
    replicas: Annotated[int, Field(ge=0)] | None  # servers that should serve it
    ready_replicas: Annotated[int, Field(ge=0)] | None  # servers in which this version is READY
    ready_since: AwareDatetime | None  # READY in every replica since then
    requests: Count | None  # inferences that succeeded or failed, over all replicas
    failures: dict[str, Count] | None  # by Triton's reason
    p95_ms: Count | None  # the slowest replica's
    p95_requests: Count | None = None  # of how many requests p95_ms is, at most; None: it cannot be told
    replay: Replay | None  # None when none was asked for
    errors: list[str] = Field(default_factory=list)  # measurements that failed, one line each
