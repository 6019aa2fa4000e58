"""Which version of a model is meant, and what one environment serves of it."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.errors import Rejected
from slipway.names import check_digest, check_environment, check_model, check_number

__all__ = ["ModelVersion", "Release", "parse_release_env", "release_path", "render_release_env"]


@dataclass(frozen=True, slots=True, order=True)
class ModelVersion:
    """One immutable version in the model store."""

    name: str  # Triton model name
    number: int  # Triton version directory, >= 1
    digest: str  # "sha256:<hex>" of the version's manifest.json

    def __post_init__(self) -> None:
        check_model(self.name)
        check_number(self.number)
        check_digest(self.digest)

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"


@dataclass(frozen=True, slots=True, order=True)
class Release:
    """One environment's choice of a version."""

    environment: str
    version: ModelVersion

    def __post_init__(self) -> None:
        check_environment(self.environment)


def release_path(environment: str, model: str) -> str:
    """The path of release.env inside the environment repository."""
    return f"envs/{check_environment(environment)}/{check_model(model)}/release.env"


def render_release_env(version: ModelVersion) -> str:
    """The three lines that Kustomize turns into a ConfigMap."""
    return f"MODEL={version.name}\nVERSION={version.number}\nDIGEST={version.digest}\n"


def parse_release_env(text: str, where: str = "release.env") -> ModelVersion:
    """Read back what `render_release_env` wrote; raise Rejected, naming `where`, for anything else."""
    values: dict[str, str] = {}
    for count, line in enumerate(text.splitlines(), start=1):
        key, separator, value = line.partition("=")
        if not separator or key not in ("MODEL", "VERSION", "DIGEST") or key in values:
            raise Rejected(f"{where}:{count}: {line[:80]!r} is not one of MODEL=, VERSION= or DIGEST=, each once")
        values[key] = value
    if missing := [key for key in ("MODEL", "VERSION", "DIGEST") if key not in values]:
        raise Rejected(f"{where}: {', '.join(missing)} missing; revert the commit that edited it by hand")
    try:
        return ModelVersion(values["MODEL"], check_number(values["VERSION"]), values["DIGEST"])
    except Rejected as error:
        raise Rejected(f"{where}: {error}") from None
