"""What tells people of an event that no retry could process?"""

from __future__ import annotations

from hera.workflows import Parameter, WorkflowTemplate

from hera_workflows.templates.parts import exit_handler, ref, workflow_defaults
from hera_workflows.templates.values import Values

__all__ = ["dead_letter"]


def dead_letter(values: Values) -> WorkflowTemplate:
    """The WorkflowTemplate `slipway-dead-letter`, which the sensor creates instead; parameter lost."""
    again = "deliver it again from the webhook's page in the forge, or submit the workflow with the same commits"
    return WorkflowTemplate(
        name="slipway-dead-letter",
        entrypoint="report-outcome",
        arguments=[Parameter(name="lost")],
        templates=[
            exit_handler(
                values,
                "always",
                status="Error",
                workflow=ref("workflow.parameters.lost"),
                failures=f"the sensor could not start it; {again}",
            )
        ],
        **workflow_defaults(values),
    )
