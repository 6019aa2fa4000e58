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
    SecretEnvFrom,
    SecretVolume,
)
from hera.workflows import models as m

from hera_workflows.templates.admission import EXECUTOR
from hera_workflows.templates.values import StepResources, Values

__all__ = [
    "exit_handler",
    "forge_flags",
    "inputs",
    "part",
    "ref",
    "resources_from_inputs",
    "step",
    "workflow_defaults",
]

Access = Literal["read", "write"]
SpeaksOf = Literal["source", "both"]
_PATHS = {
    "workspace": "/workspace",
    "store": "/store",
    "scratch": "/scratch",
    "keys": "/keys",
    "shm": "/dev/shm",
    "git-read": "/git",
    "git-write": "/git",
}

# What Argo says of a pod that was taken away: evicted, preempted, its node reclaimed. A step that used more memory,
# disk or time than it declared reads differently (OOMKilled, "exceeds", "deadline"), and would do so again. People's
# code that kills its own step reads the same as a lost node, so that it costs every attempt; nobody is left to tell.
_TAKEN = ("Error (exit code 143)", "Error (exit code 137)", "node was low on resource", "node shutdown")
# 75 asks for another try; a lost node or an image that cannot be pulled (Error) is nobody's fault.
# Every other code is final.
_AGAIN = " || ".join(
    [
        "asInt(lastRetry.exitCode) == 75",
        "lastRetry.status == 'Error'",
        *(f"lastRetry.message contains '{words}'" for words in _TAKEN),
    ]
)
# No maxDuration: Argo would end with it whatever runs then. So the number of waits says how long: 2, 6, 18, 54 s, then
# 3, 8, 15, 15, 15 min, together an hour. The first few do for a training, of which each costs hours, and for what the
# clock starts anew.
_FEW, _AN_HOUR = 4, 9
_BACKOFF = m.Backoff(duration="2s", factor=m.IntOrString(root=3), cap="15m")
# Argo fills in a template twice, so that an expression in what a step said, which people's code may write, would be
# evaluated by its controller.
_FAILURES = "{{=sprig.b64enc(workflow.failures)}}"
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
    fs_group_change_policy="OnRootMismatch",  # else every pod looks at each file of the workspace before it starts
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
        "executor": m.ExecutorConfig(service_account_name=EXECUTOR),
        "service_account_name": "slipway-read",
        "archive_logs": values.artifacts,
        "ttl_strategy": m.TTLStrategy(seconds_after_success=7 * 86400, seconds_after_failure=30 * 86400),
        "pod_gc": m.PodGC(strategy="OnPodSuccess"),
        "volumes": _volumes(values),
    }


def _volumes(values: Values) -> list[Any]:
    """Every volume that some step mounts; a pod gets those that its container names."""
    secrets = values.secrets
    # A repository that anybody may read needs no credential, and one machine has neither.
    credentials = {"git-read": secrets.git_read, "git-write": secrets.git_write}
    return [
        ExistingVolume(name="workspace", claim_name=values.workspace_claim),
        *([ExistingVolume(name="store", claim_name=values.store_claim)] if values.store_is_volume else []),
        EmptyDirVolume(name="scratch"),
        EmptyDirVolume(name="shm", medium="Memory"),
        SecretVolume(name="keys", secret_name=secrets.signing, default_mode=0o440),
        *(
            SecretVolume(name=name, secret_name=secret, default_mode=0o440, optional=True)
            for name, secret in credentials.items()
        ),
    ]


def step(
    name: str,
    arguments: Mapping[str, str],
    *,
    values: Values,
    image: str | None = None,
    account: str = "slipway-read",
    store: Access | None = None,
    git: Access | None = None,
    forge: SpeaksOf | None = None,
    mounts: Sequence[str] = (),
    writes: Sequence[str] = (),
    parts: Sequence[m.VolumeMount] = (),
    needs: StepResources | None = None,
    patient: bool = False,
    **fields: Any,
) -> Container:
    """The container template of one step: `python -m hera_workflows.steps.NAME --flag value …`.

    store, git: which credential the step gets, if any; forge: which token of the forge, that for the source alone or
    that for both repositories.
    mounts: volumes beside /scratch; writes: those of them that are not read-only; parts: folders of volumes that are
    mounted instead of the whole; needs: None when a patch brings them; patient: tried again for an hour, not a minute.
    fields: passed on to Hera (inputs, outputs, env, pod_spec_patch, …).
    """
    env = list(fields.pop("env", ()))
    mounts, writes = list(mounts), list(writes)
    if store is not None and values.store_is_volume:
        mounts.append("store")
        writes += ["store"] if store == "write" else []
    elif store is not None:
        secret = values.secrets.store_write if store == "write" else values.secrets.store_read
        fields["env_from"] = [SecretEnvFrom(name=secret)]
    if git is not None:
        mounts.append(f"git-{git}")
        env.append(Env(name="GIT_CREDENTIALS", value="/git/credentials"))
    if forge is not None:
        secret = values.secrets.forge if forge == "both" else values.secrets.forge_source
        env.append(SecretEnv(name="FORGE_TOKEN", secret_name=secret, secret_key="token", optional=True))
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
        env=[Env(name="HOME", value="/scratch"), Env(name="TMPDIR", value="/scratch"), *env],
        volume_mounts=[
            m.VolumeMount(
                name=volume,
                mount_path=_PATHS[volume],
                read_only=None if volume in writes or volume in ("scratch", "shm") else True,
            )
            for volume in ("scratch", *mounts)
        ]
        + list(parts),
        retry_strategy=RetryStrategy(
            limit=_AN_HOUR if patient else _FEW, retry_policy="Always", expression=_AGAIN, backoff=_BACKOFF
        ),
        security_context=_CONTAINER_SECURITY,
        service_account_name=account,
        labels={"slipway/step": name, **fields.pop("labels", {})},
        **fields,
    )


def part(path: str, *, read_only: bool = False) -> m.VolumeMount:
    """One folder of the workspace, at the path that it has where the whole workspace is mounted."""
    inside = path.removeprefix(_PATHS["workspace"] + "/")
    return m.VolumeMount(name="workspace", mount_path=path, sub_path=inside, read_only=True if read_only else None)


def resources_from_inputs() -> str:
    """A pod patch that takes resources and nodes from the template's inputs: only the push knows what a model needs."""
    take = {"cpu": "cpu", "memory": "memory", "ephemeral-storage": "ephemeral-storage"}
    requests = {resource: ref(f"inputs.parameters.{name}") for resource, name in take.items()}
    limits = {key: value for key, value in requests.items() if key != "cpu"}
    limits["nvidia.com/gpu"] = ref("inputs.parameters.gpus")
    nodes = {"nodeSelector": "inputs.parameters.node-selector", "tolerations": "inputs.parameters.tolerations"}
    # Without quotes: what stands there is JSON by itself.
    chosen = ", ".join(f'"{field}": {ref(name)}' for field, name in nodes.items())
    main = {"name": "main", "resources": {"limits": limits, "requests": requests}}
    return f'{{"containers": {json.dumps([main])}, {chosen}}}'


def forge_flags(values: Values) -> dict[str, str]:
    """The flags of a step that speaks with the forge; the workflow has the parameter `forge` (one machine has none)."""
    return {
        "forge": ref("workflow.parameters.forge"),
        "forge-url": values.forge.url,
        "source-project": values.forge.source_project,
        "env-project": values.forge.env_project,
        "argo-url": f"{values.argo_url.rstrip('/')}/workflows/{values.namespace}",
    }


def exit_handler(
    values: Values,
    notify: Literal["always", "failure"],
    *,
    status: str = ref("workflow.status"),
    workflow: str = ref("workflow.name"),
    failures: str = _FAILURES,
    commit: str | None = None,
) -> Container:
    """The step that tells people how the workflow ended; `notify`: when a message is sent, not only a line printed.

    commit: of the source repository, whose page then says how its models fared.
    """
    pushed = (
        {"commit": commit, "env-repo": ref("workflow.parameters.env-repo"), **forge_flags(values)} if commit else {}
    )
    return step(
        "report-outcome",
        {
            "status": status,
            "workflow": workflow,
            "failures": failures,
            "notify": notify,
            **pushed,
        },
        values=values,
        # Argo puts there what is longer than one argument may be, as what failed is when a push refuses many models.
        parts=[m.VolumeMount(name="scratch", mount_path="/tmp")],
        needs=values.light,
        patient=notify == "always",  # of the others the next run tells
        git="read" if commit else None,
        forge="source" if commit else None,
        env=[SecretEnv(name="NOTIFY_URL", secret_name=values.secrets.notify, secret_key="url", optional=True)],
    )


def inputs(*names: str) -> list[Parameter]:
    """Input parameters without a default: a caller that forgets one is an error."""
    return [Parameter(name=name) for name in names]
