"""What training hands to validation: training.json beside the plain-data files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from slipway.errors import Rejected
from slipway.manifest import DataSummary
from slipway.names import Commit
from slipway.spec import ModelSpec

__all__ = ["TRAINING_JSON", "Trained", "check_spec", "read_trained"]

TRAINING_JSON = "training.json"


class Trained(BaseModel):
    """Facts of one training; written last into a folder that appears by one rename."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    spec: ModelSpec
    source_commit: Commit
    data: DataSummary
    training: dict[str, Any]  # seconds, device, epochs, seed, loss, curve [[epoch, loss], …]
    tools: dict[str, str]  # "torch": "2.15.0"
    signature: dict[str, Any]  # triton_repo.config.Signature as JSON


def read_trained(folder: Path) -> Trained:
    """The training.json of a `train/` folder; raises Rejected when training left none or another thing."""
    path = folder / TRAINING_JSON
    try:
        return Trained.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise Rejected(f"{path} is absent: training ended without a model; read the log of the train step") from None
    except (ValidationError, OSError) as error:
        text = str(error).splitlines()[0]
        raise Rejected(f"{path} cannot be read ({text}); remove {folder} and train again") from None


def check_spec(trained: Trained, source: Path) -> None:
    """Raise Rejected unless training.json says of the model what the pushed model.yaml in `source` says.

    Training runs people's code beside training.json; gates and approval are what was pushed and read by others.
    """
    from hera_workflows.models import read_spec

    where = f"models/{trained.spec.name}/model.yaml"
    try:
        pushed = read_spec((source / where).read_bytes(), where)
    except OSError as error:
        raise Rejected(f"{source / where} cannot be read ({error.strerror}); start a new run") from None
    if pushed != trained.spec:
        raise Rejected(f"{TRAINING_JSON} has another model.yaml than {where} of the push; train again")
