"""Which fields of a step's container and of its volumes the local runner knows, and what each means here.

A field that is in none of these models is refused with its path; `Ignored` ones can have no meaning for a process on
this machine.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

__all__ = ["SANDBOX", "Container", "EnvVar", "Fields", "Ignored", "Resources", "Volume"]


class Ignored:
    """Marks a field that is declared and not enforced; `why` is for the documentation."""

    def __init__(self, why: str) -> None:
        self.why = why


SANDBOX = Ignored("the process has the rights of whoever runs the runner")


class Fields(BaseModel):
    """Fields by Argo's spelling; any other one is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class KeyRef(Fields):
    """A key of a Secret."""

    name: str
    key: str
    optional: bool = False


class EnvSource(Fields):
    """Where a variable's value comes from."""

    secret_key_ref: Annotated[
        KeyRef, Field(description="the caller's value for that variable, else the file KEY in the Secret's folder")
    ]


class EnvVar(Fields):
    """An environment variable."""

    name: str
    value: str | None = None
    value_from: EnvSource | None = None


class VolumeMount(Fields):
    """Where a container sees a volume."""

    name: str
    mount_path: Annotated[
        str, Field(description="a whole argument or value that begins with it becomes the folder's path")
    ]
    sub_path: Annotated[
        str | None, Field(description="a folder in the volume, made where it is absent; leading out of it is an error")
    ] = None
    read_only: Annotated[Any, Ignored("folders are not mounted, so a process can write where its user can")] = None


class Resources(Fields):
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


class Container(Fields):
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
    security_context: Annotated[Any, SANDBOX] = None


class Claim(Fields):
    """A PersistentVolumeClaim."""

    claim_name: Annotated[str, Field(description="the folder that the caller gives for it")]
    read_only: Annotated[Any, Ignored("see volumeMounts.readOnly")] = None


class Secret(Fields):
    """A Secret as files."""

    secret_name: Annotated[str, Field(description="the folder that the caller gives for it")]
    default_mode: Annotated[Any, Ignored("the files are the caller's")] = None
    optional: Annotated[bool, Field(description="without a folder from the caller, an empty one")] = False


class EmptyDir(Fields):
    """A folder that lives as long as one attempt of a step."""

    medium: Annotated[Any, Ignored("the folder lies on disk; /dev/shm is the machine's")] = None


class Volume(Fields):
    """A folder by name."""

    name: str
    persistent_volume_claim: Claim | None = None
    secret: Secret | None = None
    empty_dir: Annotated[EmptyDir | None, Field(description="a new folder for each attempt, removed after it")] = None
