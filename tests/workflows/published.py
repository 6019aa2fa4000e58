"""Which fields are there, by the JSON schemas that Argo and Kubernetes publish in their Go modules?"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest


def folder_of(module: str) -> Path:
    """A module as it lies in Go's own cache, fetched through Go's module proxy."""
    if shutil.which("go") is None:
        pytest.skip("Go is not installed, so no schema can be fetched; install Go to check the manifests")
    answer = subprocess.run(
        ["go", "mod", "download", "-json", module], capture_output=True, text=True, timeout=240, cwd="/"
    )
    if answer.returncode:
        pytest.fail(f"{module} cannot be downloaded: {answer.stdout[-300:]}{answer.stderr[-300:]}")
    return Path(json.loads(answer.stdout)["Dir"])


def strict(node: Any) -> Any:
    """The schema with `additionalProperties: false` wherever properties are named."""
    if isinstance(node, list):
        return [strict(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    result = {key: strict(inner) for key, inner in node.items()}
    if isinstance(node.get("properties"), dict) and "additionalProperties" not in node:
        result["additionalProperties"] = False
    return result
