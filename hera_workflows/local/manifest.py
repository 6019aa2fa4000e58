"""Which fields of an Argo manifest the local runner knows, and what each means here.

A field that is in none of these models is refused with its path. `Ignored` fields are known, and can have no meaning
for a process on this machine; docs/local-runner.md lists both kinds from these very models and those of `pod`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from hera_workflows.local.pod import SANDBOX, Container, Fields, Ignored, Volume

__all__ = ["Dag", "Manifest", "RetryStrategy", "Task", "Template"]

_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$")]  # becomes part of a log's path

_KUBERNETES = Ignored("no Kubernetes API is called")
_CLEANUP = Ignored("there are no pods to remove; `<root>/<run>/` keeps the journal and the logs")
_DISPLAY = Ignored("describes, and decides nothing")


class Metadata(Fields):
    """Names."""

    name: Annotated[str, Field(description="the part of the run's name that the runner chooses when none is given")]
    namespace: Annotated[Any, _KUBERNETES] = None
    labels: Annotated[Any, _DISPLAY] = None


class Argument(Fields):
    """A parameter with its value."""

    name: str
    value: Annotated[str | None, Field(description="without one, the caller must give it")] = None
    description: Annotated[Any, _DISPLAY] = None


class Arguments(Fields):
    """Parameters that are passed."""

    parameters: list[Argument] = Field(default_factory=list)


class ValueFrom(Fields):
    """Where an output's value is read."""

    path: Annotated[str, Field(description="a file under a volumeMount; UTF-8, 1 MB at most; one last newline is cut")]
    default: Annotated[str | None, Field(description="the value when there is no such file")] = None


class Output(Fields):
    """A parameter that a step hands on."""

    name: str
    value_from: ValueFrom


class NoArchive(Fields):
    """A file as it is."""

    none: Annotated[dict[str, str], Field(max_length=0, description="the file itself; archives are not made here")]


class ArtifactOutput(Fields):
    """A file that a step leaves for people."""

    name: _Name
    path: Annotated[
        str, Field(description="a file, copied beside the step's log as STEP.NAME.SUFFIX, also when the step fails")
    ]
    archive: NoArchive
    optional: Annotated[bool, Field(description="no error when there is no such file")] = False


class Input(Fields):
    """A parameter that a template takes."""

    name: str
    default: Annotated[str | None, Field(description="used when the task passes none")] = None


class Inputs(Fields):
    """What a template takes."""

    parameters: list[Input] = Field(default_factory=list)


class Outputs(Fields):
    """What a template hands on."""

    parameters: list[Output] = Field(default_factory=list)
    artifacts: list[ArtifactOutput] = Field(default_factory=list)


class Task(Fields):
    """One task of a DAG."""

    name: _Name
    template: str
    arguments: Arguments = Arguments()
    depends: Annotated[
        str | None, Field(description="Argo's: `a`, `a.Succeeded && !b.Failed`; a bare name is Succeeded or Skipped")
    ] = None
    when: Annotated[str | None, Field(description="`'{{item.action}}' == 'changed'`; a value never becomes code")] = (
        None
    )
    with_param: Annotated[str | None, Field(description="a JSON list: the task once for each item")] = None


class Dag(Fields):
    """Tasks; independent ones run in parallel."""

    tasks: list[Task]
    fail_fast: Annotated[bool, Field(description="after a failure start no further task of this DAG")] = True


class Backoff(Fields):
    """How long to wait before a retry."""

    duration: Annotated[str, Field(description="the first wait")]
    factor: Annotated[int | str, Field(description="each wait is this much longer")] = 1
    cap: Annotated[str | None, Field(description="the longest single wait")] = None
    max_duration: Annotated[str | None, Field(description="no retry later than this after the first start")] = None


class RetryStrategy(Fields):
    """Which failures are tried again."""

    limit: Annotated[int | str, Field(description="retries after the first attempt")]
    retry_policy: Annotated[
        Literal["Always", "OnFailure", "OnError"] | None,
        Field(description="without one: Always where there is an expression, else OnFailure"),
    ] = None
    expression: Annotated[
        str | None, Field(description="over lastRetry.exitCode, .status, .duration, .message; asInt, asFloat, contains")
    ] = None
    backoff: Backoff | None = None


class Mutex(Fields):
    """A lock by name."""

    name: Annotated[str, Field(description="one holder among all runs under the same root; a file lock")]


class Synchronization(Fields):
    """What must not happen twice at once."""

    mutexes: list[Mutex]


class Template(Fields):
    """A step or a DAG."""

    name: _Name
    inputs: Inputs = Inputs()
    outputs: Outputs = Outputs()
    dag: Dag | None = None
    container: Container | None = None
    fail_fast: Annotated[bool | None, Field(description="the same as dag.failFast; they must agree")] = None
    retry_strategy: RetryStrategy | None = None
    active_deadline_seconds: Annotated[
        int | str | None, Field(description="the process tree is stopped after it: TERM, then KILL; DeadlineExceeded")
    ] = None
    synchronization: Synchronization | None = None
    pod_spec_patch: Annotated[
        str | None,
        Field(
            description="JSON; of container `main` the resources, values put in after it is parsed; nodeSelector and "
            "tolerations, with a notice: there is one machine"
        ),
    ] = None
    metadata: Annotated[Any, _DISPLAY] = None
    service_account_name: Annotated[Any, _KUBERNETES] = None
    automount_service_account_token: Annotated[Any, _KUBERNETES] = None
    executor: Annotated[Any, _KUBERNETES] = None


class Spec(Fields):
    """A workflow."""

    entrypoint: str
    arguments: Arguments = Arguments()
    on_exit: Annotated[
        str | None, Field(description="this template runs last, with workflow.status and workflow.failures")
    ] = None
    templates: list[Template]
    volumes: list[Volume] = Field(default_factory=list)
    service_account_name: Annotated[Any, _KUBERNETES] = None
    automount_service_account_token: Annotated[Any, _KUBERNETES] = None
    executor: Annotated[Any, _KUBERNETES] = None
    security_context: Annotated[Any, SANDBOX] = None
    pod_metadata: Annotated[Any, _DISPLAY] = None
    ttl_strategy: Annotated[Any, _CLEANUP] = None
    pod_g_c: Annotated[Any, _CLEANUP] = Field(default=None, alias="podGC")
    archive_logs: Annotated[Any, Ignored("logs always stay, in `<root>/<run>/`")] = None


class Manifest(Fields):
    """One file."""

    api_version: Literal["argoproj.io/v1alpha1"]
    kind: Annotated[
        Literal["WorkflowTemplate", "Workflow"], Field(description="a CronWorkflow names one of these: run that")
    ]
    metadata: Metadata
    spec: Spec

    def template(self, name: str) -> Template:
        """The template of that name; `check` has seen to it that there is one."""
        return next(template for template in self.spec.templates if template.name == name)
