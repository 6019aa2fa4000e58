"""What happens after a push: plan, then (start →) train → validate → publish → bump, or retire, for each model."""

from __future__ import annotations

from hera.workflows import DAG, Container, Parameter, Task, WorkflowTemplate
from hera.workflows import models as m

from hera_workflows.templates.parts import exit_handler, inputs, ref, resources_from_inputs, step, workflow_defaults
from hera_workflows.templates.values import Values

__all__ = ["push"]

_NEEDS = ("gpus", "cpu", "memory", "ephemeral-storage", "timeout-seconds")  # of training; fields of Change
_RUN = ref("workflow.name")
_MODEL = ref("inputs.parameters.model")
_START = ref("inputs.parameters.start")
_COMMIT = ref("inputs.parameters.commit")
_ENV_REPO = ref("workflow.parameters.env-repo")
_SOURCE_REPO = ref("workflow.parameters.source-repo")


def push(values: Values) -> WorkflowTemplate:
    """The WorkflowTemplate `slipway-push`; parameters source-repo, env-repo, before, after."""
    return WorkflowTemplate(
        name="slipway-push",
        entrypoint="push",
        on_exit="report-outcome",
        arguments=[
            Parameter(name="source-repo", value=values.source_repo),
            Parameter(name="env-repo", value=values.env_repo),
            Parameter(name="before"),
            Parameter(name="after"),
        ],
        templates=[_push(), _model(), *_steps(values), exit_handler(values, "always")],
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
                when=f"'{ref('item.action')}' == '{action}'",
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


def _steps(values: Values) -> list[Container]:
    return [
        step(
            "plan",
            {
                "source-repo": _SOURCE_REPO,
                "before": ref("workflow.parameters.before"),
                "after": ref("workflow.parameters.after"),
                "output": "/scratch/changes.json",
            },
            values=values,
            needs=values.light,
            outputs=[Parameter(name="changes", value_from=m.ValueFrom(path="/scratch/changes.json"))],
        ),
        step(
            "start",
            {"model": _MODEL, "run": _RUN, "workspace": "/workspace", "store": "/store", "env-repo": _ENV_REPO},
            values=values,
            mounts=["workspace", "store"],
            writes=["workspace"],
            needs=values.store,
            inputs=inputs("model"),
        ),
        step(
            "train",
            {
                "source-repo": _SOURCE_REPO,
                "commit": _COMMIT,
                "model": _MODEL,
                "run": _RUN,
                "workspace": "/workspace",
            },
            values=values,
            image=values.images.train,
            account="slipway-train",
            mounts=["workspace", "shm"],
            writes=["workspace"],
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
                "store": "/store",
                "env-repo": _ENV_REPO,
                "backend": values.backend,
            },
            values=values,
            image=values.images.evaluate,
            mounts=["workspace", "store", "shm"],
            writes=["workspace"],
            needs=values.validation,
            inputs=inputs("model"),
        ),
        step(
            "publish",
            {
                "model": _MODEL,
                "run": _RUN,
                "commit": _COMMIT,
                "workspace": "/workspace",
                "store": "/store",
                "key": "/keys/signing.key",
                "outputs": "/scratch",
            },
            values=values,
            account="slipway-publish",
            mounts=["workspace", "store", "keys"],
            writes=["store"],
            needs=values.store,
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
                "store": "/store",
            },
            values=values,
            account="slipway-release",
            mounts=["store"],
            needs=values.light,
            inputs=inputs("model", "commit", "number", "digest"),
        ),
        step(
            "retire",
            {"model": _MODEL, "commit": _COMMIT, "run": _RUN, "env-repo": _ENV_REPO},
            values=values,
            account="slipway-release",
            needs=values.light,
            inputs=inputs("model", "commit"),
            synchronization=_one_at_a_time(),
        ),
    ]
