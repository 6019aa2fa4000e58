"""A field that the local runner does not honour is an error with its path, never ignored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from workflow_bench import Bench, dag, manifest, step, task

from hera_workflows.local.fields import DECLARED_NOT_ENFORCED, table
from slipway.errors import Misconfigured

ROOT = Path(__file__).parents[2]


def changed(path: str, value: Any) -> dict[str, Any]:
    """A valid manifest with one more field at a dotted path."""
    document = manifest(dag("main", task("a")), step("a"))
    *above, last = path.split(".")
    place: Any = document
    for part in above:
        place = place[int(part)] if part.isdigit() else place.setdefault(part, {})
    place[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "spec.templates.1.container.lifecycle",
            "spec.templates[1].container.lifecycle: not honoured by the local runner",
        ),
        ("spec.templates.1.container.livenessProbe", "spec.templates[1].container.livenessProbe: not honoured"),
        (
            "spec.templates.1.container.resources.limits.cpu",
            "spec.templates[1].container.resources.limits.cpu: not honoured",
        ),
        ("spec.templates.1.sidecars", "spec.templates[1].sidecars: not honoured"),
        ("spec.templates.1.retryStratgy", "spec.templates[1].retryStratgy: not honoured"),
        ("spec.templates.0.dag.tasks.0.dependencies", "spec.templates[0].dag.tasks[0].dependencies: not honoured"),
        ("spec.templates.0.dag.tasks.0.withItems", "spec.templates[0].dag.tasks[0].withItems: not honoured"),
        ("spec.templates.0.dag.target", "spec.templates[0].dag.target: not honoured"),
        ("spec.volumes.0.hostPath", "spec.volumes[0].hostPath: not honoured"),
        ("spec.hooks", "spec.hooks: not honoured"),
        ("spec.parallelism", "spec.parallelism: not honoured"),
        ("status", "status: not honoured"),
    ],
)
def test_an_unknown_field_is_named_with_its_path(bench: Bench, path: str, message: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        bench.run(changed(path, {"x": 1}))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("spec.entrypoint", "nope", "spec.entrypoint: there is no template 'nope'; there are main, a"),
        ("spec.onExit", "nope", "spec.onExit: there is no template 'nope'"),
        (
            "spec.templates.0.dag.tasks.0.template",
            "nope",
            "spec.templates[0].dag.tasks[0].template: there is no template 'nope'",
        ),
        ("spec.templates.0.dag.tasks.0.template", "main", "template main contains itself (main → main)"),
        ("spec.templates.0.dag.tasks.0.depends", "b", "spec.templates[0].dag.tasks[0].depends: b is unknown"),
        ("spec.templates.0.dag.tasks.0.depends", "a", "a waits for itself"),
        (
            "spec.templates.0.dag.tasks.0.when",
            "{{nope}} == 1",
            "spec.templates[0].dag.tasks[0]: {{nope}} is unknown here",
        ),
        (
            "spec.templates.0.dag.tasks.0.when",
            "go == 'go'",
            "spec.templates[0].dag.tasks[0].when: quote 'go' if it is a text",
        ),
        (
            "spec.templates.0.dag.tasks.0.arguments",
            {"parameters": [{"name": "x", "value": "1"}]},
            "template a takes no parameter x",
        ),
        (
            "spec.templates.1.inputs",
            {"parameters": [{"name": "x"}]},
            "spec.templates[0].dag.tasks[0].arguments: template a needs x",
        ),
        (
            "spec.templates.1.container.args",
            ["{{tasks.a.outputs.parameters.x}}"],
            "{{tasks.a.outputs.parameters.x}} is unknown here",
        ),
        ("spec.templates.1.container.args", ["{{=1+1}}"], "{{=1+1}} is unknown here"),
        ("spec.templates.1.container.args", ["{{workflow.status}}"], "{{workflow.status}} is unknown here"),
        (
            "spec.templates.1.container.image",
            "evil:latest",
            "spec.templates[1].container.image: 'evil:latest' is not in the values' images",
        ),
        (
            "spec.templates.1.container.command",
            [],
            "spec.templates[1].container.command: List should have at least 1 item",
        ),
        ("spec.templates.1.container.volumeMounts", [{"name": "x", "mountPath": "/x"}], "there is no volume 'x'"),
        (
            "spec.templates.1.retryStrategy",
            {"limit": 1, "expression": "lastRetry.code == '1'"},
            "lastRetry.code is unknown",
        ),
        ("spec.templates.1.name", "../a", "spec.templates[1].name: String should match pattern"),
        ("spec.templates.1.name", "main", "spec.templates: main is there twice"),
        ("spec.volumes.0.secret", {"secretName": "x"}, "spec.volumes[0]: give exactly one of"),
        ("spec.volumes.1.persistentVolumeClaim.claimName", "other", "spec.volumes[1]: no folder is given for other"),
        ("kind", "CronWorkflow", "kind: Input should be 'WorkflowTemplate' or 'Workflow'"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused_before_anything_runs(
    bench: Bench, path: str, value: Any, message: str
) -> None:
    with pytest.raises(Misconfigured) as caught:
        bench.run(changed(path, value))
    assert (message in str(caught.value), bench.events) == (True, [])


@pytest.mark.parametrize(
    "content",
    [
        "",
        "- 1",
        "a: [",
        "\0",
        "a: &a [*a, *a]",
        "!!python/object/apply:os.abort []",
        "a: 2026-13-01",
        "a: !!bool x",
        "[" * 9000,
    ],
)
def test_a_file_that_is_no_manifest_is_refused_in_one_line(bench: Bench, tmp_path: Path, content: str) -> None:
    from hera_workflows.local.runner import run

    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(Misconfigured) as caught:
        run(path, {}, name="a", root=bench.root, volumes={})
    assert (str(path) in str(caught.value), "\n" in str(caught.value)) == (True, False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "parameter x has no value; give it with -p x=VALUE"),
        ({"x": "1", "y": "2"}, "parameter y is unknown; test takes x"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(bench: Bench, given: dict[str, str], message: str) -> None:
    with pytest.raises(Misconfigured, match=message):
        bench.run(manifest(step("a"), parameters={"x": None}), given=given)


def test_the_documentation_lists_every_field_that_is_known() -> None:
    assert table() in (ROOT / "docs" / "local-runner.md").read_text(), "run `python -m hera_workflows.local.fields`"


def test_what_is_not_enforced_is_declared() -> None:
    assert {
        "spec.templates[].container.securityContext",
        "spec.templates[].container.volumeMounts[].readOnly",
        "spec.templates[].serviceAccountName",
    } <= DECLARED_NOT_ENFORCED.keys()


@pytest.mark.parametrize("name", ["slipway-push", "slipway-promote", "slipway-gc", "slipway-catch-up"])
def test_every_rendered_template_can_run_here(bench: Bench, name: str) -> None:
    from hera_workflows.local.check import check
    from hera_workflows.local.read import load
    from hera_workflows.templates.values import Values

    document, _ = load(ROOT / "deploy" / "workflows" / f"{name}.yaml")
    folders = dict.fromkeys(("slipway-workspace", "slipway-store", "slipway-signing"), bench.workspace)
    check(document, Values().images.model_dump().values(), folders)
    assert yaml.safe_load((ROOT / "deploy" / "workflows" / f"{name}.yaml").read_text())["kind"] == "WorkflowTemplate"
