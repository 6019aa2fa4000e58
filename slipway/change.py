"""What a push did to one model; crosses from plan to the workflow's fan-out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from slipway.names import Commit, ModelName
from slipway.quantity import Quantity, Size
from slipway.spec import NodeSelector, Toleration

__all__ = ["Change", "Changes"]

_Count = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")]


class Change(BaseModel):
    """One model that a push changed, and what its training pod needs (strings: they become workflow parameters).

    A cluster puts these texts into a pod patch as they are, so nothing but a number may stand in them; of an object
    or a list it puts in the JSON, which ends where it began.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelName
    action: Literal["changed", "deleted"]
    commit: Commit
    why: str  # "models/digits/model.py", "shared code src/features.py", "deleted"
    start: Literal["scratch", "champion"] = "scratch"  # which weights training begins with
    data: Literal["none", "declared"] = "none"  # whether model.yaml names data elsewhere, so that training may reach it
    gpus: _Count = "0"
    cpu: Quantity = "1"
    memory: Size = "2Gi"
    ephemeral_storage: Size = "2Gi"
    node_selector: NodeSelector = Field(default_factory=dict)
    tolerations: list[Toleration] = Field(default_factory=list)
    timeout_seconds: _Count = "3600"


Changes = TypeAdapter(list[Change])
