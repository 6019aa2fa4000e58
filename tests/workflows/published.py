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
    for _ in range(3):  # the way to the proxy is not what is tested
        try:
            command = ["go", "mod", "download", "-json", module]
            said = subprocess.run(command, capture_output=True, text=True, timeout=180, cwd="/", check=True).stdout
            return Path(json.loads(said)["Dir"])
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            trouble = f"{error}: {error.stdout!r} {error.stderr!r}"
    pytest.fail(f"{module} cannot be downloaded: {trouble[-600:]}")


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
