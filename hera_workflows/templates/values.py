"""What differs between installations: repositories, forge, store, images, addresses, schedules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from hera_workflows.workspace import KEEP_RUNS
from slipway.errors import Misconfigured
from slipway.quantity import Quantity, Size

__all__ = [
    "Dns",
    "EventBus",
    "Forge",
    "Images",
    "Monitoring",
    "Network",
    "Schedules",
    "Secrets",
    "StepResources",
    "Values",
    "Webhook",
    "read_values",
]


def _says_which(image: str) -> str:
    name, at, _ = image.partition("@sha256:")
    # A colon before the last slash is a registry's port.
    tag = name.rpartition("/")[2].partition(":")[2]
    if not at and tag in ("", "latest"):
        raise ValueError("names no fixed image; write NAME@sha256:DIGEST")
    return image


_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]  # a DNS label
_Host = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
_Image = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}$"), AfterValidator(_says_which)
]
_Cron = Annotated[str, StringConstraints(pattern=r"^\S+( \S+){4}$")]
_Url = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$")]
_Project = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+$")]  # OWNER/NAME
# By HTTP, for steps have no SSH. Without a user or password: what stands in an argument can be read by whoever sees
# the workflow.
_Repo = Annotated[
    str,
    StringConstraints(pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/[!-?A-~]+$"),
]
_Store = Annotated[
    str, StringConstraints(pattern=r"^(/store|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*)$")
]
_Branch = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$")]
_Cidr = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$")]
_Duration = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,3}[mhd]$")]
_Port = Annotated[int, Field(ge=1, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Images(_Section):
    """One image for each set of libraries, so that only the training pod carries torch."""

    light: _Image = "slipway/light:0.1.0"  # every step but train and validate; fetch, in the servers' pods
    train: _Image = "slipway/train:0.1.0"  # torch
    evaluate: _Image = "slipway/evaluate:0.1.0"  # validate: Triton, ONNX Runtime, scikit-learn
    triton: _Image = "slipway/triton:0.1.0"  # what serves; `slipway env init --values` writes it into envs/base

    def need_digests(self) -> None:
        """Raise Misconfigured unless each image is named by its digest; a tag may be another image tomorrow."""
        if loose := [name for name, image in self.model_dump().items() if "@sha256:" not in image]:
            raise Misconfigured(f"images.{loose[0]} has no digest; write NAME@sha256:DIGEST in the values file")


class StepResources(_Section):
    """What a step reserves, and the memory at which it is stopped. Training's come from model.yaml instead."""

    cpu: Quantity = "100m"
    memory: Size = "128Mi"
    memory_limit: Size = "512Mi"
    ephemeral_storage: Size = "256Mi"
    timeout_seconds: Annotated[int, Field(ge=1)] = 600


class Schedules(_Section):
    """When the scheduled workflows run: five cron fields, in `timezone`."""

    promote: _Cron = "*/5 * * * *"
    gc: _Cron = "17 3 * * *"
    catch_up: _Cron = "*/5 * * * *"  # with pushes whose delivery was lost
    timezone: str = "UTC"


class Secrets(_Section):
    """The names of the Secrets that the operator brings; docs/install.md says what stands in each."""

    signing: _Name = "slipway-signing"  # signing.key: publish
    verify: _Name = "slipway-verify"  # signing.pub: the servers' fetch; doctor compares it
    notify: _Name = "slipway-notify"  # url; optional
    git_read: _Name = "slipway-git-read"  # credentials, in the format of git's credential store; optional
    git_write: _Name = "slipway-git-write"  # the same, for whoever writes the env repo
    forge: _Name = "slipway-forge"  # token: promote, which opens and merges requests
    forge_source: _Name = "slipway-forge-source"  # token: who speaks of the repository that is pushed to, and no other
    webhook: _Name = "slipway-webhook"  # secret: the event source, catch-up
    artifacts: _Name = "artifacts"  # what Argo's artifact repository is configured with; who looks at a report reads it
    store_read: _Name = "slipway-store-read"  # AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, …
    store_write: _Name = "slipway-store-write"  # the same, for publish and gc


class Forge(_Section):
    """Where the repositories lie, and people approve."""

    kind: Literal["github", "gitlab", "gitea"] = "github"
    url: _Url = "https://github.com"
    source_project: _Project = "example/models"
    env_project: _Project = "example/environments"


class EventBus(_Section):
    """What carries events from the webhook to the sensor: Argo Events' own JetStream, or one that is there already."""

    kind: Literal["native", "exotic"] = "native"
    version: str = "2.10.29"  # native: one that Argo Events' controller is configured with
    replicas: Annotated[int, Field(ge=1, le=5)] = 3
    url: Annotated[str, StringConstraints(pattern=r"^(nats://[A-Za-z0-9.-]+(:[0-9]{1,5})?)?$")] = ""  # exotic
    access_secret: _Name | None = None  # exotic; key password: a YAML mapping of username and password

    @model_validator(mode="after")
    def _exotic_has_a_url(self) -> EventBus:
        if (self.kind == "exotic") != bool(self.url):
            raise ValueError("kind exotic and only it has a url: nats://HOST:PORT")
        return self


class Webhook(_Section):
    """How the forge reaches the event source from outside; without a host, the operator sees to that."""

    host: _Host | None = None  # an Ingress for this name
    ingress_class: _Name | None = None
    tls_secret: _Name | None = None  # kubernetes.io/tls


class Dns(_Section):
    """Who answers pods that ask for a name: pods, or addresses of the node that no namespace selects."""

    namespace: _Name = "kube-system"  # of those pods; openshift-dns
    ports: Annotated[tuple[_Port, ...], Field(min_length=1)] = (53,)  # theirs, not their Service's; OpenShift's: 5353
    blocks: tuple[_Cidr, ...] = ()  # NodeLocal DNSCache's: 169.254.20.10/32


class Network(_Section):
    """What pods may reach, as address blocks, since that is all a NetworkPolicy knows."""

    # The Kubernetes API behind its Service (`kubectl get endpointslices kubernetes`) and the artifact repository:
    # Argo's sidecar reports there from every pod, training's too.
    executor: tuple[_Cidr, ...] = ("192.0.2.1/32",)
    # Theirs alone: kubelets and etcd listen on the same nodes.
    executor_ports: Annotated[tuple[_Port, ...], Field(min_length=1)] = (443, 6443)
    dns: Dns = Dns()
    # Forge, store, Prometheus, messages: every step but training.
    services: tuple[_Cidr, ...] = ("0.0.0.0/0",)
    # Where training may read the data that a model.yaml declares by URL.
    data: tuple[_Cidr, ...] = ()


class Monitoring(_Section):
    """Who picks up monitors, rules and dashboards, and from which number on somebody is told."""

    # kube-prometheus-stack's Prometheus takes what carries its release's name; its Grafana what the sidecar looks for.
    labels: dict[str, str] = {"release": "prometheus"}
    dashboard_labels: dict[str, str] = {"grafana_dashboard": "1"}
    workflows_namespace: _Name = "argo"  # of Argo Workflows' controller
    error_ratio: Annotated[float, Field(gt=0, lt=1)] = 0.01  # of a version's requests within ten minutes
    min_requests: Annotated[int, Field(ge=1)] = 100  # within ten minutes; fewer say nothing about a ratio
    p95_ms: Annotated[float, Field(gt=0)] = 500.0
    promoter_minutes: Annotated[int, Field(ge=1)] = 30  # without a run of the promoter that succeeded
    volume_free: Annotated[float, Field(gt=0, lt=1)] = 0.1  # of the store's and the workspace's volume


class Values(_Section):
    """Everything that `slipway render --values` may change."""

    namespace: _Name = "slipway"
    argocd_namespace: _Name = "argocd"
    environments: Annotated[tuple[_Name, ...], Field(min_length=1)] = ("staging", "production")
    images: Images = Images()
    secrets: Secrets = Secrets()
    store: _Store = "/store"  # the volume of `store_claim`, or a bucket: s3://BUCKET/PREFIX
    workspace_claim: _Name = "slipway-workspace"
    store_claim: _Name = "slipway-store"
    source_repo: _Repo = "https://github.com/example/models.git"
    source_branch: _Branch = "main"
    env_repo: _Repo = "https://github.com/example/environments.git"
    forge: Forge = Forge()
    argo_url: _Url = "https://argo.example.com"  # argo-server as people open it; links lead there
    prometheus: _Url = "http://prometheus.monitoring.svc:9090"
    event_bus: EventBus = EventBus()
    webhook: Webhook = Webhook()
    network: Network = Network()
    monitoring: Monitoring = Monitoring()
    artifacts: bool = True  # whether Argo has an artifact repository: logs are archived, reports shown
    backend: Annotated[str, StringConstraints(pattern=r"^(python|onnxruntime)$")] = "python"
    schedules: Schedules = Schedules()
    keep_runs: _Duration = KEEP_RUNS  # of the workspace: after the last write; longer than any training here
    light: StepResources = StepResources()
    validation: StepResources = StepResources(
        cpu="1", memory="1Gi", memory_limit="6Gi", ephemeral_storage="2Gi", timeout_seconds=1800
    )
    moving: StepResources = StepResources(memory="256Mi", memory_limit="1Gi", timeout_seconds=7200)  # publish, gc

    @model_validator(mode="after")
    def _a_namespace_each(self) -> Values:
        names = (self.namespace, self.argocd_namespace, *self.environments)
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{twice[0]} is there twice; an environment is a namespace of its own")
        return self

    @property
    def store_is_volume(self) -> bool:
        """Whether versions lie on a volume, not in a bucket."""
        return self.store.startswith("/")


def read_values(path: Path | None) -> Values:
    """The values in a YAML file, the defaults without one; raises Misconfigured, naming every wrong key."""
    if path is None:
        return Values()
    import yaml

    from gitops.yaml_text import load_yaml

    try:
        content = load_yaml(path.read_bytes()) or {}
        if not isinstance(content, dict):
            raise Misconfigured(f"{path}: is no mapping; write `key: value` lines, as docs/install.md shows them")
        return Values.model_validate(content)
    except ValidationError as error:
        found = [(".".join(map(str, e["loc"])), e["msg"].removeprefix("Value error, ")) for e in error.errors()]
        raise Misconfigured(f"{path}: {'; '.join(f'{place}: {what}' for place, what in found)}") from None
    except OSError as error:
        raise Misconfigured(
            f"{path}: {error.strerror}; write the cluster's values there, or name another file"
        ) from None
    except yaml.YAMLError as error:
        raise Misconfigured(f"{path} cannot be read: {' '.join(str(error).split())}; correct it there") from None
