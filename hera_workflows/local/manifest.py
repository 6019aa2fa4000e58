"""Which fields of an Argo manifest the local runner knows, and what each means here.

A field that is in none of these models is refused with its path. `Ignored` fields are known, and can have no meaning
for a process on this machine; docs/local-runner.md lists both kinds from these very models.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

__all__ = ["Container", "Dag", "Manifest", "RetryStrategy", "Task", "Template", "Volume"]


_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$")]  # becomes part of a log's path


class Ignored:
    """Marks a field that is declared and not enforced; `why` is for the documentation."""

    def __init__(self, why: str) -> None:
        self.why = why


_KUBERNETES = Ignored("no Kubernetes API is called")
_SANDBOX = Ignored("the process has the rights of whoever runs the runner")
_CLEANUP = Ignored("there are no pods to remove; `<root>/<run>/` keeps the journal and the logs")
_DISPLAY = Ignored("describes, and decides nothing")


class _Fields(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class Metadata(_Fields):
    """Names."""

    name: Annotated[str, Field(description="the part of the run's name that the runner chooses when none is given")]
    namespace: Annotated[Any, _KUBERNETES] = None
    labels: Annotated[Any, _DISPLAY] = None


class Argument(_Fields):
    """A parameter with its value."""

    name: str
    value: Annotated[str | None, Field(description="without one, the caller must give it")] = None
    description: Annotated[Any, _DISPLAY] = None


class Arguments(_Fields):
    """Parameters that are passed."""

    parameters: list[Argument] = Field(default_factory=list)


class ValueFrom(_Fields):
    """Where an output's value is read."""

    path: Annotated[str, Field(description="a file under a volumeMount; UTF-8, 1 MB at most; one last newline is cut")]
    default: Annotated[str | None, Field(description="the value when there is no such file")] = None


class Output(_Fields):
    """A parameter that a step hands on."""

    name: str
    value_from: ValueFrom


class Input(_Fields):
    """A parameter that a template takes."""

    name: str
    default: Annotated[str | None, Field(description="used when the task passes none")] = None


class Inputs(_Fields):
    """What a template takes."""

    parameters: list[Input] = Field(default_factory=list)


class Outputs(_Fields):
    """What a template hands on."""

    parameters: list[Output] = Field(default_factory=list)


class Task(_Fields):
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


class Dag(_Fields):
    """Tasks; independent ones run in parallel."""

    tasks: list[Task]
    fail_fast: Annotated[bool, Field(description="after a failure start no further task of this DAG")] = True


class KeyRef(_Fields):
    """A key of a Secret."""

    name: str
    key: str
    optional: bool = False


class EnvSource(_Fields):
    """Where a variable's value comes from."""

    secret_key_ref: Annotated[
        KeyRef, Field(description="the caller's value for that variable, else the file KEY in the Secret's folder")
    ]


class EnvVar(_Fields):
    """An environment variable."""

    name: str
    value: str | None = None
    value_from: EnvSource | None = None


class VolumeMount(_Fields):
    """Where a container sees a volume."""

    name: str
    mount_path: Annotated[
        str, Field(description="a whole argument or value that begins with it becomes the folder's path")
    ]
    read_only: Annotated[Any, Ignored("folders are not mounted, so a process can write where its user can")] = None


class Resources(_Fields):
    """What a step reserves and may use."""

    requests: Annotated[
        dict[Literal["cpu", "memory", "ephemeral-storage"], str],
        Field(
            description="a step starts when they fit this machine beside the running ones; never fitting is an error"
        ),
    ] = Field(default_factory=dict)
    limits: Annotated[
        dict[Literal["memory", "ephemeral-storage", "nvidia.com/gpu"], str],
        Field(
            description="memory: the process tree is killed above it (OOMKilled, 137); nvidia.com/gpu: "
            "CUDA_VISIBLE_DEVICES, or the CPU with a notice; ephemeral-storage: free disk when the step starts"
        ),
    ] = Field(default_factory=dict)


class Container(_Fields):
    """The process of a step."""

    name: Literal["main"] = "main"
    image: Annotated[
        str, Field(description="must be one of the values' images; runs in this interpreter's environment")
    ]
    command: Annotated[list[str], Field(min_length=1, description="`python` is the runner's interpreter; no shell")]
    args: list[str] = Field(default_factory=list)
    env: list[EnvVar] = Field(default_factory=list)
    volume_mounts: list[VolumeMount] = Field(default_factory=list)
    resources: Resources = Resources()
    security_context: Annotated[Any, _SANDBOX] = None


class Backoff(_Fields):
    """How long to wait before a retry."""

    duration: Annotated[str, Field(description="the first wait")]
    factor: Annotated[int | str, Field(description="each wait is this much longer")] = 1
    cap: Annotated[str | None, Field(description="the longest single wait")] = None
    max_duration: Annotated[str | None, Field(description="no retry later than this after the first start")] = None


class RetryStrategy(_Fields):
    """Which failures are tried again."""

    limit: Annotated[int | str, Field(description="retries after the first attempt")]
    retry_policy: Annotated[
        Literal["Always", "OnFailure", "OnError"] | None,
        Field(description="without one: Always where there is an expression, else OnFailure"),
    ] = None
    expression: Annotated[
        str | None, Field(description="over lastRetry.exitCode, .status, .duration, .message; asInt, asFloat")
    ] = None
    backoff: Backoff | None = None


class Mutex(_Fields):
    """A lock by name."""

    name: Annotated[str, Field(description="one holder among all runs under the same root; a file lock")]


class Synchronization(_Fields):
    """What must not happen twice at once."""

    mutexes: list[Mutex]


class Claim(_Fields):
    """A PersistentVolumeClaim."""

    claim_name: Annotated[str, Field(description="the folder that the caller gives for it")]
    read_only: Annotated[Any, Ignored("see volumeMounts.readOnly")] = None


class Secret(_Fields):
    """A Secret as files."""

    secret_name: Annotated[str, Field(description="the folder that the caller gives for it")]
    default_mode: Annotated[Any, Ignored("the files are the caller's")] = None


class EmptyDir(_Fields):
    """A folder that lives as long as one attempt of a step."""

    medium: Annotated[Any, Ignored("the folder lies on disk; /dev/shm is the machine's")] = None


class Volume(_Fields):
    """A folder by name."""

    name: str
    persistent_volume_claim: Claim | None = None
    secret: Secret | None = None
    empty_dir: Annotated[EmptyDir | None, Field(description="a new folder for each attempt, removed after it")] = None


class Template(_Fields):
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
        str | None, Field(description="JSON; of container `main` the resources; values are put in after it is parsed")
    ] = None
    metadata: Annotated[Any, _DISPLAY] = None
    service_account_name: Annotated[Any, _KUBERNETES] = None
    automount_service_account_token: Annotated[Any, _KUBERNETES] = None
    executor: Annotated[Any, _KUBERNETES] = None


class Spec(_Fields):
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
    security_context: Annotated[Any, _SANDBOX] = None
    pod_metadata: Annotated[Any, _DISPLAY] = None
    ttl_strategy: Annotated[Any, _CLEANUP] = None
    pod_g_c: Annotated[Any, _CLEANUP] = Field(default=None, alias="podGC")
    archive_logs: Annotated[Any, Ignored("logs always stay, in `<root>/<run>/`")] = None


class Manifest(_Fields):
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
