"""What differs between installations of the same workflows: images, claims, URLs, schedules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from slipway.errors import Misconfigured

__all__ = ["Images", "Schedules", "StepResources", "Values", "read_values"]

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]  # a DNS label
_Image = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}$")]
_Cron = Annotated[str, StringConstraints(pattern=r"^\S+( \S+){4}$")]
_Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}(\.[0-9]{1,3})?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Images(_Section):
    """One image for each set of libraries, so that only the training pod carries torch."""

    light: _Image = "slipway/light:0.1.0"  # plan, publish, bump, retire, promote, gc, report-outcome
    train: _Image = "slipway/train:0.1.0"  # torch
    evaluate: _Image = "slipway/evaluate:0.1.0"  # validate: Triton, ONNX Runtime, scikit-learn


class StepResources(_Section):
    """What a step reserves, and the memory at which it is stopped. Training's come from model.yaml instead."""

    cpu: _Quantity = "100m"
    memory: _Quantity = "128Mi"
    memory_limit: _Quantity = "512Mi"
    ephemeral_storage: _Quantity = "256Mi"
    timeout_seconds: Annotated[int, Field(ge=1)] = 600


class Schedules(_Section):
    """When the scheduled workflows run: five cron fields, in `timezone`."""

    promote: _Cron = "*/5 * * * *"
    gc: _Cron = "17 3 * * *"
    timezone: str = "UTC"


class Values(_Section):
    """Everything that `slipway render --values` may change."""

    namespace: _Name = "slipway"
    images: Images = Images()
    workspace_claim: _Name = "slipway-workspace"
    store_claim: _Name = "slipway-store"
    signing_secret: _Name = "slipway-signing"  # key: signing.key
    notify_secret: _Name = "slipway-notify"  # key: url; optional
    source_repo: str = "http://git.slipway.svc/models.git"
    env_repo: str = "http://git.slipway.svc/environments.git"
    prometheus: str = "http://prometheus.monitoring.svc:9090"
    triton: str = "staging=triton-staging.slipway.svc:8001,production=triton-production.slipway.svc:8001"
    backend: Annotated[str, StringConstraints(pattern=r"^(python|onnxruntime)$")] = "python"
    schedules: Schedules = Schedules()
    light: StepResources = StepResources()
    validation: StepResources = StepResources(
        cpu="1", memory="1Gi", memory_limit="6Gi", ephemeral_storage="2Gi", timeout_seconds=1800
    )
    store: StepResources = StepResources(memory="256Mi", memory_limit="1Gi", timeout_seconds=7200)  # publish, gc


def read_values(path: Path | None) -> Values:
    """The values in a YAML file, the defaults without one; raises Misconfigured, naming every wrong key."""
    if path is None:
        return Values()
    import yaml

    try:
        return Values.model_validate(yaml.safe_load(path.read_bytes()) or {})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise Misconfigured(f"{path}: {wrong}") from None
    except (OSError, yaml.YAMLError) as error:
        raise Misconfigured(f"{path} cannot be read: {error}") from None
