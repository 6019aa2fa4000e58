"""Every rendered manifest is valid by Argo's own JSON schema, made strict: a typo in a field is an error."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from published import folder_of, strict

from hera_workflows.templates.render import render
from hera_workflows.templates.values import Values

pytestmark = pytest.mark.timeout(900)  # whichever test is the first downloads
WORKFLOWS, EVENTS = "github.com/argoproj/argo-workflows/v4@v4.0.7", "github.com/argoproj/argo-events@v1.9.11"
DEPLOY = Path(__file__).parents[2] / "deploy" / "workflows"
MANIFESTS = sorted(DEPLOY.glob("*.yaml"))


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    """Argo Workflows' schema."""
    return fetched(WORKFLOWS)


@pytest.fixture(scope="session")
def events_schema() -> dict[str, Any]:
    """Argo Events' schema, whose CRDs take any field."""
    return fetched(EVENTS)


def fetched(module: str) -> dict[str, Any]:
    """A module's schema."""
    return strict(json.loads((folder_of(module) / "api/jsonschema/schema.json").read_text()))


def errors(schema: dict[str, Any], document: dict[str, Any], product: str = "workflow") -> list[str]:
    """What is wrong with a manifest, each with its path."""
    kind = f"io.argoproj.{product}.v1alpha1.{document['kind']}"
    # Argo's generators write what may be a number or a text as a text, or as the object that Go has for it.
    either = {
        name: {"type": ["number", "string"]}
        for name in (
            "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
            "io.argoproj.events.v1alpha1.Int64OrString",
            "io.argoproj.events.v1alpha1.Amount",
        )
    }
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


@pytest.mark.parametrize("kind", ["github", "gitlab", "gitea"])
@pytest.mark.parametrize("bus", ["native", "exotic"])
def test_what_starts_workflows_is_valid(events_schema: dict[str, Any], kind: str, bus: str) -> None:
    settings = {"kind": bus, **({"url": "nats://nats.example:4222", "access_secret": "a"} if bus == "exotic" else {})}
    values = Values.model_validate({"forge": {"kind": kind}, "event_bus": settings})
    texts = [text for path, text in render(values).items() if path.startswith("events/")]
    assert [errors(events_schema, yaml.safe_load(text), "events") for text in texts] == [[]] * 3


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("event-bus", ("spec", "jetstream")),
        ("event-source", ("spec", "github", "push", "webhook")),
        ("sensor", ("spec", "dependencies", 0, "filters")),
        ("sensor", ("spec", "triggers", 0)),
        ("sensor", ("spec", "triggers", 0, "dlqTrigger", "template", "k8s")),
    ],
)
def test_a_typo_in_what_starts_workflows_is_an_error(
    events_schema: dict[str, Any], file: str, place: tuple[str | int, ...]
) -> None:
    document = yaml.safe_load((DEPLOY.parent / "events" / f"{file}.yaml").read_text())
    inner: Any = document
    for part in place:
        inner = inner[part]
    inner["typo"] = "x"
    assert any("'typo' was unexpected" in error for error in errors(events_schema, document, "events"))


def test_a_field_that_is_missing_is_an_error(schema: dict[str, Any]) -> None:
    document = yaml.safe_load((DEPLOY / "slipway-gc-schedule.yaml").read_text())
    del document["spec"]["schedules"]
    assert any("'schedules' is a required property" in error for error in errors(schema, document))
