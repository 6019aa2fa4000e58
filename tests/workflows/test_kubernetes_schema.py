"""Kubernetes 1.34 and each that came after it know every field of what is Kubernetes' own in deploy/ and envs/base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from published import folder_of, strict

from hera_workflows.templates.render import render
from hera_workflows.templates.values import Values

pytestmark = pytest.mark.timeout(900)  # whichever test is the first downloads
RELEASES = ("v1.34.4", "v1.35.4", "v1.36.3", "v1.37.2")
BASE = Path(__file__).parents[2] / "envs" / "base"
OTHERS = {"argoproj.io", "monitoring.coreos.com", "kustomize.config.k8s.io"}
# What they write as a text or as a number, the schema has as a text.
EITHER = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["integer", "string"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["number", "string"]},
}


def own(texts: list[str]) -> list[dict[str, Any]]:
    """The objects whose kind is Kubernetes' own."""
    documents = [document for text in texts for document in yaml.safe_load_all(text)]
    return [document for document in documents if document["apiVersion"].rpartition("/")[0] not in OTHERS]


def server() -> list[str]:
    """What a server is made of, without the patches beside it; kustomize adds the Deployment's selector."""
    names = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    documents = [yaml.safe_load((BASE / name).read_text()) for name in names]
    for document in documents:
        document["spec"].setdefault("selector", {})
    return [yaml.safe_dump(document) for document in documents]


INSTALLED = own([*render(Values.model_validate({"webhook": {"host": "events.example.com"}})).values(), *server()])


@pytest.fixture(scope="module", params=RELEASES)
def validators(request: pytest.FixtureRequest) -> dict[tuple[str, str], jsonschema.Draft7Validator]:
    """One for each apiVersion and kind of that Kubernetes."""
    path = folder_of(f"k8s.io/kubernetes@{request.param}") / "api/openapi-spec/swagger.json"
    published = json.loads(path.read_text())["definitions"]
    definitions = strict(published) | EITHER
    return {
        (f"{kind['group']}/{kind['version']}".lstrip("/"), kind["kind"]): jsonschema.Draft7Validator(
            {"$ref": f"#/definitions/{name}", "definitions": definitions}
        )
        for name, definition in published.items()
        for kind in definition.get("x-kubernetes-group-version-kind", [])
    }


def errors(validators: dict[tuple[str, str], jsonschema.Draft7Validator], document: dict[str, Any]) -> list[str]:
    validator = validators[document["apiVersion"], document["kind"]]
    named = f"{document['kind']} {document['metadata']['name']}"
    return [f"{named} {error.json_path}: {error.message[:200]}" for error in validator.iter_errors(document)]


def test_every_field_is_known(validators):
    kinds = {document["kind"] for document in INSTALLED}
    assert kinds >= {"Namespace", "Role", "NetworkPolicy", "Ingress", "Deployment", "Service", "PodDisruptionBudget"}
    assert [error for document in INSTALLED for error in errors(validators, document)] == []


@pytest.mark.parametrize("kind", ["NetworkPolicy", "Deployment", "PodDisruptionBudget", "Ingress"])
def test_a_typo_is_an_error(validators, kind):
    document = next(document for document in INSTALLED if document["kind"] == kind)
    wrong = {**document, "spec": {**document["spec"], "typo": True}}
    assert any("'typo' was unexpected" in error for error in errors(validators, wrong))
