"""Every rendered manifest is valid by Argo's own JSON schema, made strict: a typo in a field is an error."""

from __future__ import annotations

import json
import shutil
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

MODULE = "github.com/argoproj/argo-workflows/v4@v4.0.7"
DEPLOY = Path(__file__).parents[2] / "deploy" / "workflows"
MANIFESTS = sorted(DEPLOY.glob("*.yaml"))


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    """Argo's schema, fetched through Go's module proxy into Go's own cache."""
    if shutil.which("go") is None:
        pytest.skip("Go is not installed, so Argo's schema cannot be fetched; install Go to check the manifests")
    answer = subprocess.run(
        ["go", "mod", "download", "-json", MODULE], capture_output=True, text=True, timeout=240, cwd="/"
    )
    if answer.returncode:
        pytest.fail(f"{MODULE} cannot be downloaded: {answer.stdout[-300:]}{answer.stderr[-300:]}")
    return strict(json.loads((Path(json.loads(answer.stdout)["Dir"]) / "api/jsonschema/schema.json").read_text()))


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


def errors(schema: dict[str, Any], document: dict[str, Any]) -> list[str]:
    """What is wrong with a manifest, each with its path."""
    kind = f"io.argoproj.workflow.v1alpha1.{document['kind']}"
    # Argo's generator writes IntOrString as a string; the API takes both.
    either = {"io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["integer", "string"]}}
    root = {"$ref": f"#/definitions/{kind}", "definitions": schema["definitions"] | either}
    found = jsonschema.Draft7Validator(root).iter_errors(document)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


@pytest.mark.parametrize("path", MANIFESTS, ids=[path.stem for path in MANIFESTS])
def test_a_rendered_manifest_is_valid(schema: dict[str, Any], path: Path) -> None:
    assert errors(schema, yaml.safe_load(path.read_text())) == []


@pytest.mark.parametrize(
    ("place", "field"),
    [
        (("spec",), "onExitt"),
        (("spec", "templates", 3), "retryStratgy"),
        (("spec", "templates", 3, "container"), "argss"),
        (("spec", "templates", 3, "container", "securityContext"), "readonlyRootFilesystem"),
        (("spec", "templates", 3, "retryStrategy", "backoff"), "factr"),
        (("spec", "templates", 0, "dag", "tasks", 1), "withParams"),
        (("spec", "templates", 1, "synchronization"), "mutex"),
    ],
)
def test_a_typo_in_a_field_is_an_error(schema: dict[str, Any], place: tuple[str | int, ...], field: str) -> None:
    document = deepcopy(yaml.safe_load((DEPLOY / "slipway-push.yaml").read_text()))
    inner: Any = document
    for part in place:
        inner = inner[part]
    inner[field] = "x"
    assert any(f"'{field}' was unexpected" in error for error in errors(schema, document))


def test_a_field_that_is_missing_is_an_error(schema: dict[str, Any]) -> None:
    document = yaml.safe_load((DEPLOY / "slipway-gc-schedule.yaml").read_text())
    del document["spec"]["schedules"]
    assert any("'schedules' is a required property" in error for error in errors(schema, document))
