"""What is known of one published version: the content of its manifest.json."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from slipway.errors import Rejected, first_problem
from slipway.names import Commit, Digest, ModelName
from slipway.spec import ModelSpec
from slipway.verdict import Check, Outcome

__all__ = [
    "DataSetEntry",
    "DataSummary",
    "FileEntry",
    "Manifest",
    "MetricValue",
    "Validation",
    "manifest_digest",
    "parse_manifest",
    "render_manifest",
]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FileEntry(_Value):
    """One file of the bundle."""

    size: Annotated[int, Field(ge=0)]  # bytes
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class MetricValue(_Value):
    """A metric of the candidate, its interval, and the champion's on the same samples."""

    value: float
    low: float | None = None  # bounds of the confidence interval of `value`
    high: float | None = None
    champion: float | None = None
    difference_low: float | None = None  # bounds of the interval of candidate - champion
    difference_high: float | None = None


class DataSetEntry(_Value):
    """One data set of model.yaml, as it was read."""

    url: str
    format: str
    digest: Digest  # of the file, or of a folder's list of files
    size: Annotated[int, Field(ge=0)]  # bytes, as fetched


class DataSummary(_Value):
    """What the model learned from and was judged on."""

    digest: Digest  # over every array of every split
    counts: dict[str, int]  # samples by split
    classes: dict[str, int] = Field(default_factory=dict)  # test samples by class
    classes_by_split: dict[str, dict[str, int]] = Field(default_factory=dict)
    slices: dict[str, dict[str, int]] = Field(default_factory=dict)  # test samples by slice column and value
    sets: dict[str, DataSetEntry] = Field(default_factory=dict)


class Validation(_Value):
    """What validation found; crosses from validate to publish and stays in the manifest."""

    outcome: Outcome
    checks: list[Check]
    metrics: dict[str, MetricValue]
    champion: str | None = None  # "digits@3", or None for the first version
    p95_ms: float | None = None  # measured on the cold-started server
    throughput: float | None = None  # inferences a second
    samples_to_settle: int | None = None  # for INCONCLUSIVE
    # Argo's node that validated, whose artifact the report is; left out where there is none, as older versions have it.
    node: str | None = Field(default=None, exclude_if=lambda node: node is None)
    # Files that the cold-started server really served; publish refuses anything else.
    files: dict[str, FileEntry]


class Manifest(_Value):
    """Every fact of one version; written last, so a bundle without it does not exist."""

    format: Literal[1] = 1
    name: ModelName
    number: Annotated[int, Field(ge=1, lt=10**18)]
    created: datetime
    source_commit: Commit
    operation_id: str
    run: str
    spec: ModelSpec
    data: DataSummary
    training: dict[str, Any]  # seconds, device, final loss, epochs
    validation: Validation
    tools: dict[str, str]  # "torch": "2.15.0"
    files: dict[str, FileEntry]  # POSIX path inside the bundle -> entry; manifest.json and manifest.sig excluded


def render_manifest(manifest: Manifest) -> bytes:
    """The canonical bytes of a manifest: sorted keys, two spaces, a final newline."""
    return (json.dumps(manifest.model_dump(mode="json"), sort_keys=True, indent=2) + "\n").encode()


def manifest_digest(content: bytes) -> str:
    """The digest that names the version: sha256 over the bytes of manifest.json."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def parse_manifest(content: bytes, where: str = "manifest.json") -> Manifest:
    """Read manifest.json; raise Rejected, naming `where`, when it is not one."""
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise Rejected(f"{where}: {first_problem(error)}; fetch the version again or choose another") from None
