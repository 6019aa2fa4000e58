"""Which command exactly a step's container means on this machine: paths, variables, limits."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hera_workflows.local.admission import Needs
from hera_workflows.local.manifest import Manifest, Template
from hera_workflows.local.pod import EnvVar
from hera_workflows.local.pod_patch import patched
from hera_workflows.local.quantity import parse_seconds
from hera_workflows.local.substitution import substitute
from slipway.errors import Misconfigured

__all__ = ["Invocation", "invocation", "located", "needs", "read_output"]

# What a process needs to start at all, and the platform's marks; everything else must be named in the manifest.
_INHERITED = (
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LD_PRELOAD",
    "CUDA_HOME", "CUDA_PATH", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "SSL_CERT_FILE",
    "SLIPWAY_PLATFORM", "SLIPWAY_ROLE",
)  # fmt: skip
_LARGEST_OUTPUT = 2**20  # bytes


@dataclass(frozen=True, slots=True)
class Invocation:
    """A container's command with everything filled in."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    seconds: float | None
    mounts: Mapping[str, Path]  # mountPath -> folder


def needs(template: Template, values: Mapping[str, str], node: str) -> Needs:
    """What the step asks for, its pod patch included."""
    assert template.container is not None
    resources = [template.container.resources, *patched(template, node)]
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    for part in resources:
        requests.update({key: substitute(text, values) for key, text in part.requests.items()})
        limits.update({key: substitute(text, values) for key, text in part.limits.items()})
    return Needs.of(requests, limits, node)


def invocation(
    manifest: Manifest,
    template: Template,
    values: Mapping[str, str],
    *,
    volumes: Mapping[str, Path],
    scratch: Path,
    given: Mapping[str, str],
) -> Invocation:
    """The process that this step means.

    volumes: folders by claim or Secret; scratch: where this attempt's emptyDirs lie; given: the caller's variables.
    """
    container = template.container
    assert container is not None
    mounts = _mounts(manifest, template, values, volumes, scratch)
    arguments = [_filled(text, mounts, values) for text in (*container.command, *container.args)]
    if arguments[0] in ("python", "python3"):
        arguments[0] = sys.executable
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environment |= {name: text for name, text in given.items() if name in _INHERITED}
    for variable in container.env:
        text = _variable(variable, mounts, values, volumes, given)
        if text is not None:
            environment[variable.name] = text
    if any("\0" in text for text in (*arguments, *environment.values())):
        raise Misconfigured(f"{template.name}: a value contains a NUL byte, which no argument can carry")
    deadline = template.active_deadline_seconds
    seconds = None if deadline is None else parse_seconds(substitute(str(deadline), values), "activeDeadlineSeconds")
    return Invocation(tuple(arguments), environment, seconds, mounts)


def _mounts(
    manifest: Manifest, template: Template, values: Mapping[str, str], volumes: Mapping[str, Path], scratch: Path
) -> dict[str, Path]:
    assert template.container is not None
    sources = {volume.name: volume for volume in manifest.spec.volumes}
    mounts: dict[str, Path] = {}
    for mount in template.container.volume_mounts:
        source = sources[mount.name]
        if source.persistent_volume_claim:
            folder = volumes[source.persistent_volume_claim.claim_name]
        elif source.secret and (source.secret.secret_name in volumes or not source.secret.optional):
            folder = volumes[source.secret.secret_name]
        else:
            folder = scratch / source.name
        if mount.sub_path:
            folder = _inside(folder, substitute(mount.sub_path, values), template.name)
        folder.mkdir(parents=True, exist_ok=True)
        # By its text: an argument that is spelled like the mount, its variables included, is meant to lie there.
        mounts[mount.mount_path.rstrip("/")] = folder.absolute()
    return mounts


def _inside(volume: Path, sub_path: str, step: str) -> Path:
    parts = sub_path.split("/")
    folder = volume.joinpath(*parts)
    # As Kubernetes has it: neither the path nor a link that a step left may lead out of the volume.
    if ".." in parts or sub_path.startswith("/") or not Path(os.path.realpath(folder)).is_relative_to(volume.resolve()):
        raise Misconfigured(
            f"{step}: volumeMounts.subPath {sub_path[:80]!r} leads out of its volume; name a folder in it"
        )
    return folder


def _filled(text: str, mounts: Mapping[str, Path], values: Mapping[str, str]) -> str:
    """`text` with its variables; a path under a mount becomes the folder's.

    Only what the manifest says is mapped, never a value.
    """
    folder, rest = located(text, mounts)
    return folder + substitute(rest, values)


def located(text: str, mounts: Mapping[str, Path]) -> tuple[str, str]:
    """The folder of the mount that a path begins with, and what follows; no folder where it begins with none."""
    for mount, folder in mounts.items():
        if text == mount or text.startswith(mount + "/"):
            return str(folder), text[len(mount) :]
    return "", text


def _variable(
    variable: EnvVar,
    mounts: Mapping[str, Path],
    values: Mapping[str, str],
    volumes: Mapping[str, Path],
    given: Mapping[str, str],
) -> str | None:
    if variable.value_from is None:
        return _filled(variable.value or "", mounts, values)
    key = variable.value_from.secret_key_ref
    if variable.name in given:
        return given[variable.name]
    if key.name in volumes and (path := volumes[key.name] / key.key).is_file():
        return path.read_text().removesuffix("\n")
    if key.optional:
        return None
    raise Misconfigured(
        f"{variable.name} comes from the Secret {key.name}; set it in the environment, or give its folder with --volume"
    )


def read_output(path: str, mounts: Mapping[str, Path], default: str | None) -> str:
    """The value of an output parameter; raises OSError or ValueError, with what is wrong, when there is none.

    A step may leave anything at that path: a link, a pipe, a gigabyte.
    """
    try:
        descriptor = os.open("".join(located(path, mounts)), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        if default is None:
            raise
        return default
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(f"{path} is not a regular file")
        content = file.read(_LARGEST_OUTPUT + 1)
    if len(content) > _LARGEST_OUTPUT:
        raise ValueError(f"{path} has more than {_LARGEST_OUTPUT} bytes")
    return content.decode("utf-8").removesuffix("\n")
