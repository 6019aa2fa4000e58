"""Which versions did this server fail to load, so that not every change of another model tries them once more?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from slipway.version import ModelVersion
from triton_repo.store_errors import store_errors

__all__ = ["Failures"]


@dataclass(frozen=True, slots=True)
class Failures:
    """One small file a model in `folder`, about the version that was tried last; absent when that one loaded."""

    folder: Path

    def reason(self, version: ModelVersion) -> str | None:
        """Why this very version did not load when it was tried; None when it was not, or nobody can tell any more."""
        try:
            content = json.loads(self._path(version.name).read_bytes())
            return str(content["reason"]) if content["digest"] == version.digest else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def remember(self, version: ModelVersion, reason: str) -> None:
        """Write down that a version does not load; a half-written file counts as none. Raises as `store_errors`."""
        with store_errors(str(self.folder)):
            self.folder.mkdir(exist_ok=True)
            self._path(version.name).write_text(json.dumps({"digest": version.digest, "reason": reason}))

    def forget(self, model: str) -> None:
        """What becomes of this model's next version is unknown again."""
        self._path(model).unlink(missing_ok=True)

    def _path(self, model: str) -> Path:
        return self.folder / f"{model}.json"
