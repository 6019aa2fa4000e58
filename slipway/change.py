"""What a push did to one model; crosses from plan to the workflow's fan-out."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from slipway.names import Commit, ModelName

__all__ = ["Change", "Changes"]


class Change(BaseModel):
    """One model that a push changed, and what its training pod needs (strings: they become workflow parameters)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelName
    action: Literal["changed", "deleted"]
    commit: Commit
    why: str  # "models/digits/model.py", "shared code src/features.py", "deleted"
    gpus: str = "0"
    cpu: str = "1"
    memory: str = "2Gi"
    ephemeral_storage: str = "2Gi"
    timeout_seconds: str = "3600"


Changes = TypeAdapter(list[Change])
