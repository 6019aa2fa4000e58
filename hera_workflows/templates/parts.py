"""What every step's container has in common: command, volumes, security, retries, resources."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from hera.workflows import (
    Container,
    EmptyDirVolume,
    Env,
    ExistingVolume,
    Parameter,
    Resources,
    RetryStrategy,
    SecretEnv,
    SecretVolume,
)
from hera.workflows import models as m

from hera_workflows.templates.values import StepResources, Values

__all__ = ["exit_handler", "inputs", "ref", "resources_from_inputs", "step", "workflow_defaults"]

_PATHS = {"workspace": "/workspace", "store": "/store", "scratch": "/scratch", "keys": "/keys", "shm": "/dev/shm"}

# 75 asks for another try; a lost node or an image that cannot be pulled (Error) is nobody's fault.
# Every other code is final.
_RETRY = RetryStrategy(
    limit=4,
    retry_policy="Always",
    expression="asInt(lastRetry.exitCode) == 75 || lastRetry.status == 'Error'",
    backoff=m.Backoff(duration="2s", factor=m.IntOrString(root=3), cap="2m"),
)
_CONTAINER_SECURITY = m.SecurityContext(
    allow_privilege_escalation=False,
    read_only_root_filesystem=True,
    run_as_non_root=True,
    capabilities=m.Capabilities(drop=["ALL"]),
)
_POD_SECURITY = m.PodSecurityContext(
    run_as_non_root=True,
    run_as_user=1000,
    run_as_group=1000,
    fs_group=1000,
    seccomp_profile=m.SeccompProfile(type="RuntimeDefault"),
)


def ref(name: str) -> str:
    """Argo's spelling of a variable: `{{name}}`."""
    return "{{" + name + "}}"


def workflow_defaults(values: Values) -> dict[str, Any]:
    """The fields that every WorkflowTemplate of ours has."""
    return {
        "namespace": values.namespace,
        "labels": {"app.kubernetes.io/part-of": "slipway"},
        "pod_metadata": m.Metadata(labels={"app.kubernetes.io/part-of": "slipway"}),
        "security_context": _POD_SECURITY,
        # No step calls the Kubernetes API: only Argo's own sidecar has a token, of an account that may report results.
        "automount_service_account_token": False,
        "executor": m.ExecutorConfig(service_account_name="slipway-executor"),
        "service_account_name": "slipway-read",
        "archive_logs": True,
        "ttl_strategy": m.TTLStrategy(seconds_after_success=7 * 86400, seconds_after_failure=30 * 86400),
        "pod_gc": m.PodGC(strategy="OnPodSuccess"),
        "volumes": [
            ExistingVolume(name="workspace", claim_name=values.workspace_claim),
            ExistingVolume(name="store", claim_name=values.store_claim),
            EmptyDirVolume(name="scratch"),
            EmptyDirVolume(name="shm", medium="Memory"),
            SecretVolume(name="keys", secret_name=values.signing_secret, default_mode=0o440),
        ],
    }


def step(
    name: str,
    arguments: Mapping[str, str],
    *,
    values: Values,
    image: str | None = None,
    account: str = "slipway-read",
    mounts: Sequence[str] = (),
    writes: Sequence[str] = (),
    needs: StepResources | None = None,
    **fields: Any,
) -> Container:
    """The container template of one step: `python -m hera_workflows.steps.NAME --flag value …`.

    mounts: volumes beside /scratch; writes: those of them that are not read-only; needs: None when a patch brings them.
    fields: passed on to Hera (inputs, outputs, env, pod_spec_patch, …).
    """
    if needs is not None:
        fields["resources"] = Resources(
            cpu_request=needs.cpu,
            memory_request=needs.memory,
            memory_limit=needs.memory_limit,
            ephemeral_request=needs.ephemeral_storage,
            ephemeral_limit=needs.ephemeral_storage,
        )
        fields["active_deadline_seconds"] = needs.timeout_seconds
    return Container(
        name=name,
        image=image or values.images.light,
        command=["python", "-m", f"hera_workflows.steps.{name.replace('-', '_')}"],
        args=[word for flag, value in arguments.items() for word in (f"--{flag}", value)],
        # The root file system is read-only: whatever a library wants to keep in a home goes to the pod's scratch.
        env=[Env(name="HOME", value="/scratch"), Env(name="TMPDIR", value="/scratch"), *fields.pop("env", ())],
        volume_mounts=[
            m.VolumeMount(
                name=volume,
                mount_path=_PATHS[volume],
                read_only=None if volume in writes or volume in ("scratch", "shm") else True,
            )
            for volume in ("scratch", *mounts)
        ],
        retry_strategy=_RETRY,
        security_context=_CONTAINER_SECURITY,
        service_account_name=account,
        labels={"slipway/step": name},
        **fields,
    )


def resources_from_inputs() -> str:
    """A pod patch that takes the resources from the template's inputs: only the push knows what a model needs."""
    take = {"cpu": "cpu", "memory": "memory", "ephemeral-storage": "ephemeral-storage"}
    requests = {resource: ref(f"inputs.parameters.{name}") for resource, name in take.items()}
    limits = {key: value for key, value in requests.items() if key != "cpu"}
    limits["nvidia.com/gpu"] = ref("inputs.parameters.gpus")
    return json.dumps({"containers": [{"name": "main", "resources": {"limits": limits, "requests": requests}}]})


def exit_handler(values: Values, notify: Literal["always", "failure"]) -> Container:
    """The step that tells people how the workflow ended; `notify`: when a message is sent, not only a line printed."""
    return step(
        "report-outcome",
        {
            "status": ref("workflow.status"),
            "workflow": ref("workflow.name"),
            "failures": ref("workflow.failures"),
            "notify": notify,
        },
        values=values,
        needs=values.light,
        env=[SecretEnv(name="NOTIFY_URL", secret_name=values.notify_secret, secret_key="url", optional=True)],
    )


def inputs(*names: str) -> list[Parameter]:
    """Input parameters without a default: a caller that forgets one is an error."""
    return [Parameter(name=name) for name in names]
