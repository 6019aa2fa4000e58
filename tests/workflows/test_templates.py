"""What the rendered workflows ask of a cluster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hera_workflows.templates.render import render
from hera_workflows.templates.values import Values, read_values
from slipway.errors import Misconfigured

ROOT = Path(__file__).parents[2]
MANIFESTS = {name: yaml.safe_load(text) for name, text in render(Values()).items()}
WORKFLOWS = {name: document for name, document in MANIFESTS.items() if document["kind"] == "WorkflowTemplate"}
STEPS = [
    pytest.param(document["spec"], template, id=f"{name.removesuffix('.yaml')}-{template['name']}")
    for name, document in WORKFLOWS.items()
    for template in document["spec"]["templates"]
    if "container" in template
]


def template(workflow: str, name: str) -> dict[str, Any]:
    """One template of a rendered workflow."""
    return next(t for t in MANIFESTS[f"{workflow}.yaml"]["spec"]["templates"] if t["name"] == name)


def test_deploy_is_what_render_writes() -> None:
    present = {path.name: path.read_text() for path in (ROOT / "deploy" / "workflows").glob("*.yaml")}
    assert present == render(Values()), "run `slipway render` and commit deploy/"


def test_rendering_in_another_process_gives_the_same_bytes() -> None:
    program = (
        "from hera_workflows.templates.render import render; from hera_workflows.templates.values import Values; "
        "print(repr(render(Values())))"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert eval(output) == render(Values())


def test_a_push_plans_and_fans_out_over_the_changes() -> None:
    tasks = {task["name"]: task for task in template("slipway-push", "push")["dag"]["tasks"]}
    assert tasks["model"]["withParam"] == "{{tasks.plan.outputs.parameters.changes}}"


def test_a_model_is_trained_validated_published_and_bumped_in_that_order() -> None:
    tasks = template("slipway-push", "model")["dag"]["tasks"]
    assert [(t["name"], t.get("depends")) for t in tasks] == [
        ("start", None),
        ("train", "start"),
        ("validate", "train"),
        ("publish", "validate"),
        ("bump", "publish"),
    ]


def test_a_change_and_its_item_have_the_same_fields() -> None:
    from slipway.change import Change

    text = str(template("slipway-push", "push"))
    assert all(f"item.{name}" in text for name in Change.model_fields if name != "why")


def test_the_champions_weights_are_fetched_only_where_training_starts_from_them() -> None:
    tasks = {task["name"]: task for task in template("slipway-push", "model")["dag"]["tasks"]}
    assert tasks["start"]["when"] == "'{{inputs.parameters.start}}' == 'champion'"


def test_training_does_not_see_the_store() -> None:
    mounts = {mount["name"] for mount in template("slipway-push", "train")["container"]["volumeMounts"]}
    assert mounts == {"scratch", "workspace", "shm"}


def test_one_pipeline_a_model_runs_at_a_time() -> None:
    mutexes = [template("slipway-push", name)["synchronization"]["mutexes"] for name in ("model", "retire")]
    assert mutexes == [[{"name": "slipway-{{inputs.parameters.model}}"}]] * 2


def test_training_takes_its_resources_and_time_from_the_change() -> None:
    train = template("slipway-push", "train")
    patch = yaml.safe_load(train["podSpecPatch"])["containers"][0]["resources"]
    assert (patch["limits"]["nvidia.com/gpu"], train["activeDeadlineSeconds"]) == (
        "{{inputs.parameters.gpus}}",
        "{{inputs.parameters.timeout-seconds}}",
    )


@pytest.mark.parametrize(("spec", "step"), STEPS)
def test_a_step_is_a_command_and_arguments_and_no_shell(spec: dict[str, Any], step: dict[str, Any]) -> None:
    module = step["name"].replace("-", "_")
    assert step["container"]["command"] == ["python", "-m", f"hera_workflows.steps.{module}"]


@pytest.mark.parametrize(("spec", "step"), STEPS)
def test_a_steps_module_and_flags_exist(spec: dict[str, Any], step: dict[str, Any]) -> None:
    module = step["container"]["command"][2]
    shown = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, timeout=60)
    flags = [word for word in step["container"]["args"] if word.startswith("--")]
    assert (shown.returncode, [flag for flag in flags if flag not in shown.stdout]) == (0, [])


@pytest.mark.parametrize(("spec", "step"), STEPS)
def test_a_step_runs_without_rights(spec: dict[str, Any], step: dict[str, Any]) -> None:
    assert step["container"]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize(("spec", "step"), STEPS)
def test_a_step_has_no_kubernetes_token(spec: dict[str, Any], step: dict[str, Any]) -> None:
    assert (spec["automountServiceAccountToken"], "automountServiceAccountToken" in step) == (False, False)


@pytest.mark.parametrize(("spec", "step"), STEPS)
def test_a_step_retries_75_and_lost_nodes_only(spec: dict[str, Any], step: dict[str, Any]) -> None:
    assert step["retryStrategy"]["expression"] == "asInt(lastRetry.exitCode) == 75 || lastRetry.status == 'Error'"


@pytest.mark.parametrize(("spec", "step"), STEPS)
def test_a_step_has_a_time_limit(spec: dict[str, Any], step: dict[str, Any]) -> None:
    assert step["activeDeadlineSeconds"]


@pytest.mark.parametrize(("spec", "step"), STEPS)
def test_only_publish_sees_the_signing_key(spec: dict[str, Any], step: dict[str, Any]) -> None:
    mounts = {mount["name"] for mount in step["container"]["volumeMounts"]}
    assert ("keys" in mounts) == (step["name"] == "publish")


@pytest.mark.parametrize(("spec", "step"), STEPS)
def test_only_publish_and_gc_may_write_the_store(spec: dict[str, Any], step: dict[str, Any]) -> None:
    writes = [m for m in step["container"]["volumeMounts"] if m["name"] == "store" and not m.get("readOnly")]
    assert not writes or step["name"] in ("publish", "gc")


@pytest.mark.parametrize(("spec", "step"), STEPS)
def test_only_the_exit_handler_sees_the_notification_url(spec: dict[str, Any], step: dict[str, Any]) -> None:
    names = {variable["name"] for variable in step["container"]["env"]}
    assert ("NOTIFY_URL" in names) == (step["name"] == "report-outcome")


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_a_workflow_reports_how_it_ended(name: str) -> None:
    assert WORKFLOWS[name]["spec"]["onExit"] == "report-outcome"


@pytest.mark.parametrize("name", ["slipway-promote", "slipway-gc"])
def test_a_scheduled_workflow_is_never_doubled(name: str) -> None:
    spec = MANIFESTS[f"{name}-schedule.yaml"]["spec"]
    assert (spec["concurrencyPolicy"], spec["workflowSpec"]) == ("Forbid", {"workflowTemplateRef": {"name": name}})


def test_values_change_images_claims_and_addresses(tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(
        "images: {train: 'registry.example/train@sha256:00'}\nnamespace: ml\nenv_repo: https://example/env.git\n"
    )
    text = render(read_values(path))["slipway-push.yaml"]
    assert all(
        part in text for part in ("registry.example/train@sha256:00", "namespace: ml", "https://example/env.git")
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("imags: {}", "imags: Extra inputs are not permitted"),
        ("namespace: '../x'", "namespace: String should match pattern"),
        ("schedules: {gc: hourly}", "schedules.gc: String should match pattern"),
        ("[", "cannot be read"),
    ],
)
def test_wrong_values_are_refused_with_their_place(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(content)
    with pytest.raises(Misconfigured, match=message):
        read_values(path)
