"""What happens after a push: plan, then (start →) train → validate → publish → bump, or retire, for each model."""

from __future__ import annotations

from pathlib import Path

from hera.workflows import DAG, Artifact, Container, NoneArchiveStrategy, Parameter, Task, WorkflowTemplate
from hera.workflows import models as m

from hera_workflows.templates.admission import TRAIN_EXECUTOR
from hera_workflows.templates.parts import (
    exit_handler,
    forge_flags,
    inputs,
    part,
    ref,
    resources_from_inputs,
    step,
    workflow_defaults,
)
from hera_workflows.templates.values import Values
from hera_workflows.workspace import report_file

__all__ = ["push"]

# Of training; fields of Change.
_NEEDS = (
    "data", "gpus", "cpu", "memory", "ephemeral-storage", "node-selector", "tolerations", "timeout-seconds",
)  # fmt: skip
_RUN = ref("workflow.name")
_MODEL = ref("inputs.parameters.model")
_START = ref("inputs.parameters.start")
_COMMIT = ref("inputs.parameters.commit")
_ENV_REPO = ref("workflow.parameters.env-repo")
_SOURCE_REPO = ref("workflow.parameters.source-repo")
# All that the pod of training sees of the workspace: it runs people's code.
_SOURCE = f"/workspace/{_RUN}/source"
_WORK = f"/workspace/{_RUN}/{_MODEL}"
_DATASETS = f"/workspace/datasets/{_MODEL}"


def push(values: Values) -> WorkflowTemplate:
    """The WorkflowTemplate `slipway-push`; parameters source-repo, env-repo, forge, before, after."""
    return WorkflowTemplate(
        name="slipway-push",
        entrypoint="push",
        on_exit="report-outcome",
        arguments=[
            Parameter(name="source-repo", value=values.source_repo),
            Parameter(name="env-repo", value=values.env_repo),
            Parameter(name="forge", value=values.forge.kind),
            Parameter(name="before"),
            Parameter(name="after"),
        ],
        templates=[
            _push(),
            _model(),
            *_steps(values),
            exit_handler(values, "always", commit=ref("workflow.parameters.after")),
        ],
        **workflow_defaults(values),
    )


def _push() -> DAG:
    # failFast off: one model's refusal must not stop another model of the same push.
    with DAG(name="push", fail_fast=False) as dag:
        Task(name="plan", template="plan")
        for name, action, passed in (
            ("model", "changed", ("model", "commit", "start", *_NEEDS)),
            ("retire", "deleted", ("model", "commit")),
        ):
            Task(
                name=name,
                template=name,
                depends="plan",
                with_param=ref("tasks.plan.outputs.parameters.changes"),
                # Not in quotes: Argo asks before it knows the item, and would take a text that differs for the answer.
                when=f"{ref('item.action')} == '{action}'",
                arguments={key: ref(f"item.{key.replace('-', '_')}") for key in passed},
            )
    return dag


def _model() -> DAG:
    given = {key: ref(f"inputs.parameters.{key}") for key in ("model", "commit", *_NEEDS)}
    this = {"model": _MODEL, "commit": _COMMIT}
    # One pipeline a model at a time: two pushes must not publish and bump the same model in the wrong order.
    with DAG(name="model", inputs=inputs(*given, "start"), synchronization=_one_at_a_time()) as dag:
        # A step of its own, since training runs people's code, which must see neither the store nor its credentials.
        Task(name="start", template="start", arguments={"model": _MODEL}, when=f"'{_START}' == 'champion'")
        Task(name="train", template="train", depends="start", arguments=given)
        Task(name="validate", template="validate", depends="train", arguments={"model": _MODEL})
        Task(name="publish", template="publish", depends="validate", arguments=this)
        published = {key: ref(f"tasks.publish.outputs.parameters.{key}") for key in ("number", "digest")}
        Task(name="bump", template="bump", depends="publish", arguments={**this, **published})
    return dag


def _one_at_a_time() -> m.Synchronization:
    return m.Synchronization(mutexes=[m.Mutex(name=f"slipway-{_MODEL}")])


def _report(values: Values) -> list[Artifact]:
    """What people read of a verdict, in the Argo UI; there too when the model is refused."""
    if not values.artifacts:
        return []
    path = report_file(Path(_WORK))
    return [Artifact(name="report", path=str(path), archive=NoneArchiveStrategy(), optional=True)]


def _steps(values: Values) -> list[Container]:
    return [
        step(
            "plan",
            {
                "source-repo": _SOURCE_REPO,
                "before": ref("workflow.parameters.before"),
                "after": ref("workflow.parameters.after"),
                "branch": values.source_branch,
                "run": _RUN,
                "workspace": "/workspace",
                "output": "/scratch/changes.json",
                **forge_flags(values),
            },
            values=values,
            mounts=["workspace"],
            writes=["workspace"],
            git="read",
            forge="source",
            needs=values.light,
            patient=True,
            outputs=[Parameter(name="changes", value_from=m.ValueFrom(path="/scratch/changes.json"))],
        ),
        step(
            "start",
            {"model": _MODEL, "run": _RUN, "workspace": "/workspace", "store": values.store, "env-repo": _ENV_REPO},
            values=values,
            store="read",
            git="read",
            mounts=["workspace"],
            writes=["workspace"],
            needs=values.moving,
            patient=True,
            inputs=inputs("model"),
        ),
        step(
            "train",
            {"source": _SOURCE, "commit": _COMMIT, "model": _MODEL, "work": _WORK, "datasets": _DATASETS},
            values=values,
            image=values.images.train,
            account="slipway-train",
            executor=m.ExecutorConfig(service_account_name=TRAIN_EXECUTOR),
            mounts=["shm"],
            labels={"slipway/data": ref("inputs.parameters.data")},  # what the network policy asks for
            parts=[part(_SOURCE, read_only=True), part(_WORK), part(_DATASETS)],
            inputs=inputs("model", "commit", *_NEEDS),
            active_deadline_seconds=ref("inputs.parameters.timeout-seconds"),
            pod_spec_patch=resources_from_inputs(),
        ),
        step(
            "validate",
            {
                "model": _MODEL,
                "run": _RUN,
                "workspace": "/workspace",
                "store": values.store,
                "env-repo": _ENV_REPO,
                "source-repo": _SOURCE_REPO,
                "branch": values.source_branch,
                "backend": values.backend,
                **({} if values.artifacts else {"node": ""}),  # nobody finds a report there that is kept nowhere
            },
            values=values,
            image=values.images.evaluate,
            store="read",
            git="read",
            mounts=["workspace", "shm"],
            writes=["workspace"],
            # Triton's python backend writes to /tmp, whatever TMPDIR says, and aborts where it cannot.
            parts=[m.VolumeMount(name="scratch", mount_path="/tmp")],
            needs=values.validation,
            patient=True,
            inputs=inputs("model"),
            outputs=_report(values),
        ),
        step(
            "publish",
            {
                "model": _MODEL,
                "run": _RUN,
                "commit": _COMMIT,
                "workspace": "/workspace",
                "store": values.store,
                "key": "/keys/signing.key",
                "outputs": "/scratch",
            },
            values=values,
            account="slipway-publish",
            store="write",
            mounts=["workspace", "keys"],
            needs=values.moving,
            patient=True,
            inputs=inputs("model", "commit"),
            outputs=[
                Parameter(name=name, value_from=m.ValueFrom(path=f"/scratch/{name}")) for name in ("number", "digest")
            ],
        ),
        step(
            "bump",
            {
                "model": _MODEL,
                "number": ref("inputs.parameters.number"),
                "digest": ref("inputs.parameters.digest"),
                "commit": _COMMIT,
                "run": _RUN,
                "env-repo": _ENV_REPO,
                "store": values.store,
            },
            values=values,
            account="slipway-release",
            store="read",
            git="write",
            needs=values.light,
            patient=True,
            inputs=inputs("model", "commit", "number", "digest"),
        ),
        step(
            "retire",
            {"model": _MODEL, "commit": _COMMIT, "run": _RUN, "env-repo": _ENV_REPO},
            values=values,
            account="slipway-release",
            git="write",
            needs=values.light,
            patient=True,
            inputs=inputs("model", "commit"),
            synchronization=_one_at_a_time(),
        ),
    ]
