"""What the rendered workflows ask of a cluster."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hera_workflows.local.expression import evaluate
from hera_workflows.local.quantity import parse_seconds
from hera_workflows.templates.render import render
from hera_workflows.templates.values import Values

ROOT = Path(__file__).parents[2]
MANIFESTS = {
    path.removeprefix("workflows/"): yaml.safe_load(text)
    for path, text in render(Values()).items()
    if path.startswith("workflows/")
}
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
    present = {str(path.relative_to(ROOT / "deploy")): path.read_text() for path in (ROOT / "deploy").rglob("*.yaml")}
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


def test_training_sees_its_own_part_of_the_workspace_and_not_the_store() -> None:
    mounts = template("slipway-push", "train")["container"]["volumeMounts"]
    assert [(m["name"], m.get("subPath"), m.get("readOnly", False)) for m in mounts] == [
        ("scratch", None, False),
        ("shm", None, False),
        ("workspace", "{{workflow.name}}/source", True),
        ("workspace", "{{workflow.name}}/{{inputs.parameters.model}}", False),
        ("workspace", "datasets/{{inputs.parameters.model}}", False),
    ]


def test_the_report_is_taken_from_where_training_cannot_write() -> None:
    (report,) = template("slipway-push", "validate")["outputs"]["artifacts"]
    mounts = template("slipway-push", "train")["container"]["volumeMounts"]
    written = tuple(mount["mountPath"] + "/" for mount in mounts if not mount.get("readOnly"))
    assert not report["path"].startswith(written)


def test_a_report_that_nothing_keeps_is_said_to_be_nowhere() -> None:
    text = render(Values(artifacts=False))["workflows/slipway-push.yaml"]
    (validate,) = [t for t in yaml.safe_load(text)["spec"]["templates"] if t["name"] == "validate"]
    assert "artifacts" not in validate.get("outputs", {})
    flags = validate["container"]["args"]
    assert flags[flags.index("--node") + 1] == ""


def test_one_pipeline_a_model_runs_at_a_time() -> None:
    mutexes = [template("slipway-push", name)["synchronization"]["mutexes"] for name in ("model", "retire")]
    assert mutexes == [[{"name": "slipway-{{inputs.parameters.model}}"}]] * 2


def test_training_takes_its_resources_and_time_from_the_change() -> None:
    train = template("slipway-push", "train")
    patch = json.loads(re.sub(r"(?<=: )({{.*?}})", r'"\1"', train["podSpecPatch"]))
    resources = patch["containers"][0]["resources"]
    assert (patch["nodeSelector"], patch["tolerations"]) == (
        "{{inputs.parameters.node-selector}}",
        "{{inputs.parameters.tolerations}}",
    )
    assert (resources["limits"]["nvidia.com/gpu"], train["activeDeadlineSeconds"]) == (
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
def test_only_promote_has_a_kubernetes_token(spec: dict[str, Any], step: dict[str, Any]) -> None:
    granted = step.get("automountServiceAccountToken", spec["automountServiceAccountToken"])
    assert granted == (step["name"] == "promote")


@pytest.mark.parametrize(("spec", "step"), STEPS)
def test_only_what_edits_the_environment_repository_may_write_it(spec: dict[str, Any], step: dict[str, Any]) -> None:
    mounts = {mount["name"] for mount in step["container"]["volumeMounts"]}
    assert ("git-write" in mounts) == (step["name"] in ("bump", "retire", "promote"))


@pytest.mark.parametrize("name", ["train", "publish"])
def test_training_and_publishing_have_no_git_credential(name: str) -> None:
    container = template("slipway-push", name)["container"]
    names = {entry["name"] for entry in (*container["volumeMounts"], *container["env"])}
    assert names.isdisjoint({"git-read", "git-write", "GIT_CREDENTIALS"})


ENDINGS = [
    ("75", "Failed", "main: Error (exit code 75): slipway: git does not answer", True),
    ("-1", "Error", "pod deleted", True),
    ("143", "Failed", "main: Error (exit code 143)", True),
    ("137", "Failed", "main: Error (exit code 137)", True),
    ("137", "Failed", "The node was low on resource: memory. Threshold quantity: 100Mi, available: 20Mi. ", True),
    ("143", "Failed", "Pod was terminated in response to imminent node shutdown.", True),
    ("137", "Failed", "main: OOMKilled (exit code 137)", False),
    ("137", "Failed", "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ", False),
    ("143", "Failed", "Pod was active on the node longer than the specified deadline", False),
    ("65", "Failed", "main: Error (exit code 65): slipway [digits]: digits is refused", False),
    ("78", "Failed", "main: Error (exit code 78): slipway: the key cannot be read", False),
    ("1", "Failed", "main: Error (exit code 1)", False),
]


@pytest.mark.parametrize(("code", "status", "message", "again"), ENDINGS)
def test_a_step_that_was_taken_away_runs_again_and_one_that_ended_by_itself_only_if_it_asks(
    code: str, status: str, message: str, again: bool
) -> None:
    last = {"lastRetry.exitCode": code, "lastRetry.status": status, "lastRetry.message": message}
    (expression,) = {step["retryStrategy"]["expression"] for _, step in (case.values for case in STEPS)}
    assert evaluate(expression, last) is again


def waits(workflow: str, name: str) -> float:
    """Seconds that a step waits in all between its attempts when each of them ends with 75."""
    retry = template(workflow, name)["retryStrategy"]
    first, longest = (parse_seconds(retry["backoff"][field], field) for field in ("duration", "cap"))
    return sum(min(first * retry["backoff"]["factor"] ** count, longest) for count in range(retry["limit"]))


@pytest.mark.parametrize("name", ["plan", "start", "validate", "publish", "bump", "retire", "report-outcome"])
def test_what_a_push_starts_waits_an_hour_for_what_is_away(name: str) -> None:
    assert 3000 < waits("slipway-push", name) < 3600


def test_that_a_push_could_not_start_is_told_also_after_an_hour() -> None:
    assert 3000 < waits("slipway-dead-letter", "report-outcome") < 3600


@pytest.mark.parametrize("name", ["promote", "gc", "catch-up"])
def test_what_the_clock_starts_again_waits_for_a_minute_only(name: str) -> None:
    assert [waits(f"slipway-{name}", step) for step in (name, "report-outcome")] == [80, 80]


def test_a_training_begins_five_times_at_most() -> None:
    assert template("slipway-push", "train")["retryStrategy"]["limit"] == 4


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_failures_that_are_too_long_for_an_argument_find_room_in_a_file(name: str) -> None:
    mounts = template(name.removesuffix(".yaml"), "report-outcome")["container"]["volumeMounts"]
    assert {"name": "scratch", "mountPath": "/tmp"} in mounts


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
    spec = WORKFLOWS[name]["spec"]
    assert "report-outcome" in (spec.get("onExit"), spec["entrypoint"])


@pytest.mark.parametrize("name", ["slipway-promote", "slipway-gc", "slipway-catch-up"])
def test_a_scheduled_workflow_is_never_doubled(name: str) -> None:
    spec = MANIFESTS[f"{name}-schedule.yaml"]["spec"]
    assert (spec["concurrencyPolicy"], spec["workflowSpec"]) == ("Forbid", {"workflowTemplateRef": {"name": name}})


def test_a_schedule_is_applied_when_the_template_that_it_starts_is_there() -> None:
    top = yaml.safe_load(render(Values())["kustomization.yaml"])
    schedules = [path for path in top["resources"] if path.endswith("-schedule.yaml")]
    assert (top["sortOptions"], top["resources"][-len(schedules) :]) == ({"order": "fifo"}, schedules)
