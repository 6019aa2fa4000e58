"""What happens by the clock: judging what is served, removing what nothing refers to, hearing of what was missed."""

from __future__ import annotations

from hera.workflows import CronWorkflow, Parameter, SecretEnv, WorkflowTemplate
from hera.workflows import models as m

from hera_workflows.templates.events import PORT
from hera_workflows.templates.parts import exit_handler, forge_flags, ref, step, workflow_defaults
from hera_workflows.templates.values import Values

__all__ = ["catch_up", "gc", "promote", "schedules"]


def promote(values: Values) -> WorkflowTemplate:
    """The WorkflowTemplate `slipway-promote`; parameters env-repo, prometheus, forge, live, triton."""
    return WorkflowTemplate(
        name="slipway-promote",
        entrypoint="promote",
        on_exit="report-outcome",
        arguments=[
            Parameter(name="env-repo", value=values.env_repo),
            Parameter(name="prometheus", value=values.prometheus),
            Parameter(name="forge", value=values.forge.kind),
            Parameter(name="live", value="kubernetes"),
            Parameter(name="triton", value=""),
        ],
        templates=[
            step(
                "promote",
                {
                    "env-repo": ref("workflow.parameters.env-repo"),
                    "store": values.store,
                    "prometheus": ref("workflow.parameters.prometheus"),
                    "live": ref("workflow.parameters.live"),
                    "argocd-namespace": values.argocd_namespace,
                    "triton": ref("workflow.parameters.triton"),
                    "run": ref("workflow.name"),
                    **forge_flags(values),
                },
                values=values,
                account="slipway-release",
                store="read",
                git="write",
                forge="both",
                # The one step that asks the Kubernetes API: whether what it judges is live.
                automount_service_account_token=True,
                needs=values.light,
            ),
            exit_handler(values, "failure"),
        ],
        **workflow_defaults(values),
    )


def gc(values: Values) -> WorkflowTemplate:
    """The WorkflowTemplate `slipway-gc`; parameter env-repo."""
    return WorkflowTemplate(
        name="slipway-gc",
        entrypoint="gc",
        on_exit="report-outcome",
        arguments=[Parameter(name="env-repo", value=values.env_repo)],
        templates=[
            step(
                "gc",
                {
                    "store": values.store,
                    "env-repo": ref("workflow.parameters.env-repo"),
                    "workspace": "/workspace",
                    "keep-runs": values.keep_runs,
                },
                values=values,
                account="slipway-publish",
                store="write",
                git="read",
                mounts=["workspace"],
                writes=["workspace"],
                needs=values.moving,
            ),
            exit_handler(values, "failure"),
        ],
        **workflow_defaults(values),
    )


def catch_up(values: Values) -> WorkflowTemplate:
    """The WorkflowTemplate `slipway-catch-up`; parameters source-repo, forge."""
    events = f"http://{values.namespace}-eventsource-svc.{values.namespace}.svc:{PORT}/push"
    secret = SecretEnv(name="WEBHOOK_SECRET", secret_name=values.secrets.webhook, secret_key="secret")
    return WorkflowTemplate(
        name="slipway-catch-up",
        entrypoint="catch-up",
        on_exit="report-outcome",
        arguments=[
            Parameter(name="source-repo", value=values.source_repo),
            Parameter(name="forge", value=values.forge.kind),
        ],
        templates=[
            step(
                "catch-up",
                {
                    "source-repo": ref("workflow.parameters.source-repo"),
                    "branch": values.source_branch,
                    "events": events,
                    **forge_flags(values),
                },
                values=values,
                git="read",
                forge="source",
                env=[secret],
                needs=values.light,
            ),
            exit_handler(values, "failure"),
        ],
        **workflow_defaults(values),
    )


def schedules(values: Values) -> list[CronWorkflow]:
    """One CronWorkflow for each scheduled template; a run that is still going is never doubled."""
    when = values.schedules
    times = {"slipway-promote": when.promote, "slipway-gc": when.gc, "slipway-catch-up": when.catch_up}
    return [
        CronWorkflow(
            name=name,
            namespace=values.namespace,
            labels={"app.kubernetes.io/part-of": "slipway"},
            schedules=[time],
            timezone=values.schedules.timezone,
            concurrency_policy="Forbid",
            starting_deadline_seconds=300,
            successful_jobs_history_limit=3,
            failed_jobs_history_limit=10,
            workflow_template_ref=m.WorkflowTemplateRef(name=name),
        )
        for name, time in times.items()
    ]
