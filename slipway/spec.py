"""What a data scientist may write in model.yaml."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from slipway.duration import Duration, format_duration
from slipway.names import Digest, ModelName
from slipway.quantity import Quantity, Size
from slipway.threshold import Bound, Threshold, parse_threshold

__all__ = [
    "ChampionGate",
    "DataSource",
    "Gates",
    "ModelSpec",
    "NodeSelector",
    "Promotion",
    "Scalar",
    "Serving",
    "SliceGate",
    "Toleration",
    "Train",
]

Scalar = bool | int | float | str
# Kubernetes' labels; taints have the same keys and values.
_NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_LabelKey = Annotated[
    str, StringConstraints(pattern=rf"^([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_NAME}$", max_length=317)
]
_LabelValue = Annotated[str, StringConstraints(pattern=rf"^({_NAME})?$")]
NodeSelector = Annotated[dict[_LabelKey, _LabelValue], Field(max_length=32)]


def _upper(limit: Threshold) -> Threshold:
    if limit.comparison != "<=":
        raise ValueError(f'"{limit}" would ask for bad service; write "<= {limit.value:g}"')
    return limit


def _share(limit: Threshold) -> Threshold:
    if not 0 <= limit.value <= 1:
        raise ValueError(f'"{limit}" is no share of the requests; write one from 0 to 1, such as "<= 0.001"')
    return limit


def _time(limit: Threshold) -> Threshold:
    if limit.value <= 0:
        raise ValueError(f'"{limit}" leaves an answer no time; write milliseconds above 0, such as "<= 50"')
    return limit


def _training(limit: timedelta) -> timedelta:
    if not timedelta(seconds=1) <= limit <= timedelta(days=30):
        raise ValueError(f"{format_duration(limit)} is no limit for a training; write one from 1s to 30d, such as 6h")
    return limit


def _soak(soak: timedelta) -> timedelta:
    if not timedelta(0) <= soak <= timedelta(days=30):
        raise ValueError(f"{format_duration(soak)} is no soak; write one from 0s to 30d, such as 10m")
    return soak


def _written(example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": r"^\s*<=\s*\S+\s*$", "examples": [example]})


# What service may cost at most: the share of requests that fail, and milliseconds.
_Share = Annotated[Bound, AfterValidator(_upper), AfterValidator(_share), _written("<= 0.001")]
_Milliseconds = Annotated[Bound, AfterValidator(_upper), AfterValidator(_time), _written("<= 50")]


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=False, serialize_by_alias=True, allow_inf_nan=False
    )


class DataSource(_Section):
    """One data set: where it lies, how it is read, and the one content that is meant."""

    # Any URL of fsspec whose package the training image has: https, file, …; a path is a file beside model.yaml, or
    # absolute.
    url: Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[!-~]+$")]
    format: Literal["image-folder", "cifar-python", "csv", "conll", "files"]
    # Of the file, or of a folder's list of files. A file beside model.yaml is pinned by the commit and needs none.
    digest: Digest | None = None
    redirects: list[Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]{1,253}$")]] = Field(default_factory=list)
    skip: list[str] = Field(default_factory=list)  # files inside that are known to be broken
    max_size: Size = "20Gi"  # of what is downloaded, and of what it unpacks to

    @field_validator("url")
    @classmethod
    def _plain(cls, value: str) -> str:
        if "::" in value:
            raise ValueError(f"{value!r} chains file systems; give the archive's own URL, it is unpacked anyway")
        if "@" in value.partition("://")[2].partition("/")[0]:
            raise ValueError("the URL holds a user name or password; give those to the pod, never to git")
        return value


class Toleration(_Section):
    """A taint that the training pod does not mind, as Kubernetes has it."""

    key: _LabelKey
    operator: Literal["Equal", "Exists"] = "Equal"
    value: _LabelValue = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None  # every effect when left out

    @model_validator(mode="after")
    def _no_value_for_exists(self) -> Toleration:
        if self.operator == "Exists" and self.value:
            raise ValueError(f"operator Exists takes no value, and {self.value!r} is given; remove one of them")
        return self


class Train(_Section):
    """How the model is trained and what the training pod needs."""

    start: Literal["scratch", "champion"] = Field("scratch", alias="from")  # which weights training begins with
    gpus: Annotated[int, Field(ge=0, le=64)] = 0
    cpu: Quantity = "1"
    memory: Size = "2Gi"
    ephemeral_storage: Size = "2Gi"
    node_selector: NodeSelector = Field(default_factory=dict)  # labels of the nodes that it may run on
    tolerations: Annotated[list[Toleration], Field(max_length=32)] = Field(default_factory=list)
    timeout: Annotated[Duration, AfterValidator(_training)] = timedelta(hours=1)
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
    p95_ms: _Milliseconds | None = None


class Promotion(_Section):
    """What must be seen in an environment before the version may go on to the next one."""

    min_requests: Annotated[int, Field(ge=1)] = 500
    soak: Annotated[Duration, AfterValidator(_soak)] = timedelta(minutes=10)
    error_ratio: _Share = Threshold("<=", 0.001)
    p95_ms: _Milliseconds | None = None
    replay: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    approval: Literal["pull-request", "automatic"] = "pull-request"
    rollback: Literal["automatic", "off"] = "automatic"


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
