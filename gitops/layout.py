"""Where things lie in an environment repository, and the kustomization.yaml that begins a folder's life."""

from __future__ import annotations

import hashlib
import re

from slipway.environments import Freeze, Hold
from slipway.names import ENVIRONMENT, MODEL, check_environment, check_model, check_number
from slipway.version import release_path

__all__ = [
    "ENVIRONMENTS",
    "EVIDENCE_FILE",
    "FREEZE_FILE",
    "HOLD_FILE",
    "OURS",
    "RELEASE_FILE",
    "evidence_path",
    "folder",
    "freeze_path",
    "hold_path",
    "kubernetes_name",
    "kustomization",
    "kustomization_path",
    "release_path",
    "render",
    "retired_path",
]

ENVIRONMENTS = "envs/environments.yaml"
_ENVIRONMENT = f"envs/(?P<environment>{ENVIRONMENT.strip('^$')})"
_FOLDER = f"{_ENVIRONMENT}/(?P<model>{MODEL.strip('^$')})"
RELEASE_FILE = re.compile(rf"{_FOLDER}/release\.env", re.ASCII)
EVIDENCE_FILE = re.compile(rf"{_FOLDER}/evidence\.json", re.ASCII)
HOLD_FILE = re.compile(rf"{_FOLDER}/holds/[0-9]+\.json", re.ASCII)
FREEZE_FILE = re.compile(rf"{_ENVIRONMENT}/freeze\.json", re.ASCII)
# Files that only slipway writes, whatever their names are.
OURS = re.compile(r"envs/[^/]+/(freeze\.json|[^/]+/(release\.env|holds/[^/]+))")


def folder(environment: str, model: str) -> str:
    """The folder of one model in one environment."""
    return f"envs/{check_environment(environment)}/{check_model(model)}"


def evidence_path(environment: str, model: str) -> str:
    """What was seen, and the policy it was judged by."""
    return f"{folder(environment, model)}/evidence.json"


def kustomization_path(environment: str, model: str) -> str:
    """Written once, then people's."""
    return f"{folder(environment, model)}/kustomization.yaml"


def retired_path(environment: str, model: str, path: str) -> str:
    """Where a file that people wrote in the model's folder lies while nothing is released.

    Argo CD looks at a folder's own files only, so it sees nothing to serve there; a patch alone would be an error.
    """
    place = folder(environment, model)
    return f"{place}/retired/{path.removeprefix(place + '/')}"


def hold_path(environment: str, model: str, number: int) -> str:
    """A version that must not come back."""
    return f"{folder(environment, model)}/holds/{check_number(number)}.json"


def freeze_path(environment: str) -> str:
    """The freeze that `slipway freeze` set."""
    return f"envs/{check_environment(environment)}/freeze.json"


def render(value: Hold | Freeze) -> bytes:
    """The bytes of a hold or freeze file."""
    return (value.model_dump_json(indent=2) + "\n").encode()


def kubernetes_name(model: str) -> str:
    """A DNS label for a model's Kubernetes objects, at most 50 characters, different for different models.

    A name chosen to end in another's hash meets it; a push with both is refused (`hera_workflows.changed`).
    """
    plain = re.sub(r"[^a-z0-9]+", "-", model).strip("-")
    if plain == model and len(plain) <= 50:
        return plain
    return f"{plain[:41].strip('-')}-{hashlib.sha256(model.encode()).hexdigest()[:8]}".lstrip("-")


def kustomization(environment: str, model: str) -> bytes:
    """The first content of a folder's kustomization.yaml.

    The ConfigMap made from release.env has a hash in its name, so a new release is a new pod.
    """
    return _KUSTOMIZATION.format(environment=environment, name=kubernetes_name(model)).encode()


_KUSTOMIZATION = """\
# Written once by slipway, yours from here on: set replicas, memory, annotations as patches.
# release.env beside it is slipway's; do not edit that one.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {environment}
nameSuffix: -{name}
resources:
  - ../../base
configMapGenerator:
  - name: release
    envs: [release.env]
labels:
  - includeSelectors: true
    pairs:
      app.kubernetes.io/instance: {name}
# With components: [../../base/autoscaling], KEDA adds replicas while requests wait.
# The probes ask for exactly the released version, and autoscaling for exactly this model here.
replacements:
  - source: {{kind: ConfigMap, name: release, fieldPath: data.MODEL}}
    targets:
      - select: {{kind: Deployment}}
        fieldPaths:
          - spec.template.spec.containers.[name=triton].startupProbe.httpGet.path
          - spec.template.spec.containers.[name=triton].readinessProbe.httpGet.path
        options: {{delimiter: /, index: 3}}
      - select: {{kind: ScaledObject}}
        fieldPaths: [spec.triggers.0.metadata.query]
        options: {{delimiter: '"', index: 3}}
  - source: {{kind: Deployment, fieldPath: metadata.namespace}}
    targets:
      - select: {{kind: ScaledObject}}
        fieldPaths: [spec.triggers.0.metadata.query]
        options: {{delimiter: '"', index: 1}}
  - source: {{kind: ConfigMap, name: release, fieldPath: data.VERSION}}
    targets:
      - select: {{kind: Deployment}}
        fieldPaths:
          - spec.template.spec.containers.[name=triton].startupProbe.httpGet.path
          - spec.template.spec.containers.[name=triton].readinessProbe.httpGet.path
        options: {{delimiter: /, index: 5}}
"""
