"""What does a manifest file say, and which of its fields does the local runner not honour?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hera_workflows.local.manifest import Manifest
from slipway.errors import Misconfigured

__all__ = ["load", "parse"]


def load(path: Path) -> tuple[Manifest, bytes]:
    """The manifest in a file, and its bytes; raises Misconfigured with the path of every field that is not honoured."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Misconfigured(
            f"{path} cannot be read ({error.strerror}); give a manifest that `slipway render` wrote"
        ) from None
    return parse(content, str(path)), content


def parse(content: bytes, where: str) -> Manifest:
    """The manifest in YAML; raises Misconfigured, naming `where`."""
    import yaml

    try:
        document = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (
        yaml.YAMLError,
        ValueError,
        LookupError,
        AttributeError,
        RecursionError,
    ) as error:  # of a month 13, a bad tag
        raise Misconfigured(f"{where} is not YAML: {' '.join(str(error).split())}") from None
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        raise Misconfigured(f"{where}: " + "; ".join(sorted({_explain(e) for e in error.errors()}))) from None


def _explain(error: Any) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".")
    if error["type"] == "extra_forbidden" or place.endswith("[key]"):
        return f"{place.removesuffix('.[key]')}: not honoured by the local runner"
    return f"{place or 'document'}: {error['msg']}"
