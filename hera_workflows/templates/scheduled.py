"""What happens by the clock: judging what is served, and removing what nothing refers to."""

from __future__ import annotations

from hera.workflows import CronWorkflow, Parameter, WorkflowTemplate
from hera.workflows import models as m

from hera_workflows.templates.parts import exit_handler, ref, step, workflow_defaults
from hera_workflows.templates.values import Values

__all__ = ["gc", "promote", "schedules"]


def promote(values: Values) -> WorkflowTemplate:
    """The WorkflowTemplate `slipway-promote`; parameters env-repo, prometheus, triton."""
    return WorkflowTemplate(
        name="slipway-promote",
        entrypoint="promote",
        on_exit="report-outcome",
        arguments=[
            Parameter(name="env-repo", value=values.env_repo),
            Parameter(name="prometheus", value=values.prometheus),
            Parameter(name="triton", value=values.triton),
        ],
        templates=[
            step(
                "promote",
                {
                    "env-repo": ref("workflow.parameters.env-repo"),
                    "store": "/store",
                    "prometheus": ref("workflow.parameters.prometheus"),
                    "triton": ref("workflow.parameters.triton"),
                    "run": ref("workflow.name"),
                },
                values=values,
                account="slipway-release",
                mounts=["store"],
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
                {"store": "/store", "env-repo": ref("workflow.parameters.env-repo"), "workspace": "/workspace"},
                values=values,
                account="slipway-publish",
                mounts=["store", "workspace"],
                writes=["store", "workspace"],
                needs=values.store,
            ),
            exit_handler(values, "failure"),
        ],
        **workflow_defaults(values),
    )


def schedules(values: Values) -> list[CronWorkflow]:
    """One CronWorkflow for each scheduled template; a run that is still going is never doubled."""
    times = {"slipway-promote": values.schedules.promote, "slipway-gc": values.schedules.gc}
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
