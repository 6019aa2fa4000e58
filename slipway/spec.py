"""What a data scientist may write in model.yaml."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from slipway.duration import Duration
from slipway.names import Digest, ModelName
from slipway.threshold import Bound, Threshold, parse_threshold

__all__ = ["ChampionGate", "DataSource", "Gates", "ModelSpec", "Promotion", "Scalar", "Serving", "SliceGate", "Train"]

Scalar = bool | int | float | str
# A Kubernetes quantity: 500m, 2, 4Gi.
Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}(\.[0-9]{1,3})?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=False, serialize_by_alias=True)


class DataSource(_Section):
    """One data set: where it lies, how it is read, and the one content that is meant."""

    # Any fsspec URL: https, s3, gs, file, …; a path is a file beside model.yaml, or absolute.
    url: Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[!-~]+$")]
    format: Literal["image-folder", "cifar-python", "csv", "conll", "files"]
    # Of the file, or of a folder's list of files. A file beside model.yaml is pinned by the commit and needs none.
    digest: Digest | None = None
    redirects: list[Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]{1,253}$")]] = Field(default_factory=list)
    skip: list[str] = Field(default_factory=list)  # files inside that are known to be broken
    max_size: Quantity = "20Gi"  # of what is downloaded, and of what it unpacks to

    @field_validator("url")
    @classmethod
    def _plain(cls, value: str) -> str:
        if "::" in value:
            raise ValueError(f"{value!r} chains file systems; give the archive's own URL, it is unpacked anyway")
        if "@" in value.partition("://")[2].partition("/")[0]:
            raise ValueError("the URL holds a user name or password; give those to the pod, never to git")
        return value


class Train(_Section):
    """How the model is trained and what the training pod needs."""

    start: Literal["scratch", "champion"] = Field("scratch", alias="from")  # which weights training begins with
    gpus: Annotated[int, Field(ge=0, le=64)] = 0
    cpu: Quantity = "1"
    memory: Quantity = "2Gi"
    ephemeral_storage: Quantity = "2Gi"
    timeout: Duration = timedelta(hours=1)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    params: dict[str, Scalar] = Field(default_factory=dict)


class ChampionGate(_Section):
    """The candidate may lose at most `margin` of `metric` against what the first environment serves now."""

    metric: str | None = None  # the task's first metric when left out
    margin: Annotated[float, Field(ge=0)] = 0.0
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95


class SliceGate(_Section):
    """A limit that every value of a slice column must meet."""

    threshold: Bound
    metric: str | None = None  # the task's first metric when left out
    min_samples: Annotated[int, Field(ge=1)] = 30


class Gates(BaseModel):
    """Absolute limits by metric name, and beside them `champion` and `slices`."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Bound]

    champion: ChampionGate = ChampionGate()
    slices: dict[str, SliceGate] = Field(default_factory=dict)

    @field_validator("slices", mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if isinstance(value, dict):
            return {k: {"threshold": parse_threshold(v)} if isinstance(v, str) else v for k, v in value.items()}
        return value

    @property
    def metrics(self) -> dict[str, Threshold]:
        """Absolute limits by metric name."""
        return dict(self.__pydantic_extra__ or {})


class Serving(_Section):
    """How Triton serves the model, and the limits that the serving gate measures."""

    max_batch: Annotated[int, Field(ge=1, le=4096)] = 32
    max_queue_delay_us: Annotated[int, Field(ge=0, le=10_000_000)] = 500
    instances: Annotated[int, Field(ge=1, le=64)] = 1
    tolerance: Annotated[float, Field(gt=0, le=0.1)] = 1e-4  # largest absolute difference from PyTorch's answers
    p95_ms: Bound | None = None


class Promotion(_Section):
    """What must be seen in an environment before the version may go on to the next one."""

    min_requests: Annotated[int, Field(ge=1)] = 500
    soak: Duration = timedelta(minutes=10)
    error_ratio: Bound = Threshold("<=", 0.001)
    p95_ms: Bound | None = None
    replay: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    approval: Literal["pull-request", "automatic"] = "pull-request"
    rollback: Literal["automatic", "off"] = "automatic"

    @field_validator("error_ratio", "p95_ms")
    @classmethod
    def _upper_limit(cls, value: Threshold | None) -> Threshold | None:
        if value is not None and value.comparison != "<=":
            raise ValueError(f'"{value}" would ask for bad service; write "<= {value.value:g}"')
        return value


class ModelSpec(_Section):
    """One model.yaml, whole."""

    name: ModelName
    task: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    classes: list[str] | None = None  # names of the labels, in order of their number
    data: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")], DataSource] = Field(
        default_factory=dict
    )
    train: Train = Train()
    gates: Gates = Gates()
    serving: Serving = Serving()
    promotion: Promotion = Promotion()
