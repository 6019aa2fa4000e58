"""Is KEDA there for the servers that are to be more while requests wait?"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence

from gitops.installation import AUTOSCALING
from gitops.remote import MAIN, opened
from gitops.tree import list_files, read_blobs
from gitops.yaml_text import load_yaml
from hera_workflows.doctor.finding import Finding, missing, ok
from hera_workflows.doctor.installation import Installation

__all__ = ["asking", "check", "judge"]

_OBJECTS = "keda.sh/v1alpha1"
_METRICS = "/apis/external.metrics.k8s.io/v1beta1"


def check(installation: Installation) -> Iterator[Finding]:
    """One finding."""
    values = installation.values
    with installation.git_credentials(values.secrets.git_read):
        folders = asking(_kustomizations(values.env_repo))
    served = installation.api.resource(_OBJECTS, "ScaledObject") is not None
    yield judge(folders, served, measured=installation.api.get(_METRICS) is not None)


def asking(kustomizations: Mapping[str, bytes]) -> list[str]:
    """The folders whose kustomization.yaml names the component; what cannot be read names nothing."""
    import yaml

    found = []
    for path, content in kustomizations.items():
        folder = posixpath.dirname(path)
        try:
            named = load_yaml(content).get("components") or []
            if AUTOSCALING in {posixpath.normpath(posixpath.join(folder, each)) for each in named}:
                found.append(folder)
        except (yaml.YAMLError, AttributeError, TypeError):
            continue  # Argo CD says so of its Application
    return sorted(found)


def judge(folders: Sequence[str], served: bool, measured: bool) -> Finding:
    """served: whether the API knows ScaledObjects; measured: whether it answers autoscalers what KEDA measures."""
    subject = "KEDA"
    if not folders:
        return ok(subject, "no folder of the environment repository asks for autoscaling")
    if served and measured:
        return ok(subject, f"is there for {', '.join(folders)}")
    lacks = f"{_METRICS} is not answered" if served else f"the cluster serves no ScaledObject of {_OBJECTS}"
    return missing(
        subject,
        f"{lacks}, and {', '.join(folders)} asks for autoscaling",
        "install KEDA: https://keda.sh/docs/latest/deploy/, or take the component out of that kustomization.yaml",
    )


def _kustomizations(url: str) -> dict[str, bytes]:
    """The kustomization.yaml files of main, by path."""
    with opened(url) as remote:
        commit = remote.branches(MAIN, depth=1).get(MAIN)
        if commit is None:
            return {}  # another check says so
        remote.fetch_trees(commit)
        files = {
            entry.path: entry.oid
            for entry in list_files(remote.git, commit, ["envs"])
            if posixpath.basename(entry.path) == "kustomization.yaml" and entry.oddity is None
        }
        remote.fetch_objects(list(files.values()))
        blobs = read_blobs(remote.git, files.values())
    return {path: blobs[oid] for path, oid in files.items()}
