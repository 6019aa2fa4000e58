"""What a push did to one model; crosses from plan to the workflow's fan-out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter

from slipway.names import Commit, ModelName
from slipway.spec import Quantity

__all__ = ["Change", "Changes"]

_Count = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")]


class Change(BaseModel):
    """One model that a push changed, and what its training pod needs (strings: they become workflow parameters).

    A cluster puts these texts into a pod patch as they are, so nothing but a number may stand in them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelName
    action: Literal["changed", "deleted"]
    commit: Commit
    why: str  # "models/digits/model.py", "shared code src/features.py", "deleted"
    start: Literal["scratch", "champion"] = "scratch"  # which weights training begins with
    gpus: _Count = "0"
    cpu: Quantity = "1"
    memory: Quantity = "2Gi"
    ephemeral_storage: Quantity = "2Gi"
    timeout_seconds: _Count = "3600"


Changes = TypeAdapter(list[Change])
