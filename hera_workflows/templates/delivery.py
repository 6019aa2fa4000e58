"""How does Argo CD come to serve exactly what the environment repository says?"""

from __future__ import annotations

from hera_workflows.templates.objects import Object, thing
from hera_workflows.templates.values import Values

__all__ = ["KINDS", "delivery"]

_ARGO = "argoproj.io/v1alpha1"
_HERE = "https://kubernetes.default.svc"
# What a folder of envs/ may make of a cluster; a kind that is not here is refused by Argo CD.
KINDS = (
    ("", "ConfigMap"),
    ("", "Service"),
    ("apps", "Deployment"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("keda.sh", "ScaledObject"),
    ("keda.sh", "TriggerAuthentication"),
    ("policy", "PodDisruptionBudget"),
)
# `gitops.layout.kubernetes_name` in Go's template language: the name that the objects in the folder have, too.
_NAME = """\
{{- $model := .path.basename -}}
{{- $plain := regexReplaceAll "[^a-z0-9]+" $model "-" | trimAll "-" -}}
{{- $hash := sha256sum $model | trunc 8 -}}
{{- $short := and (eq $plain $model) (le (len $plain) 50) -}}
{{- $cut := printf "%s-%s" ($plain | trunc 41 | trimAll "-") $hash | trimPrefix "-" -}}
{{ index .path.segments 1 }}-{{ $short | ternary $plain $cut }}"""


def delivery(values: Values) -> dict[str, list[Object]]:
    """The AppProject and the ApplicationSet, by file."""
    return {"project": [_project(values)], "applications": [_applications(values)]}


def _project(values: Values) -> Object:
    spec = {
        "description": "What slipway's environment repository may change, and where",
        "sourceRepos": [values.env_repo],
        "destinations": [{"server": _HERE, "namespace": environment} for environment in values.environments],
        "clusterResourceWhitelist": [],
        "namespaceResourceWhitelist": [{"group": group, "kind": kind} for group, kind in KINDS],
    }
    return thing("AppProject", _ARGO, "slipway", values.argocd_namespace, spec=spec)


def _applications(values: Values) -> Object:
    """One Application for each model of each environment."""
    template = {
        "metadata": {
            "name": _NAME,
            "labels": {
                "app.kubernetes.io/part-of": "slipway",
                "slipway/environment": "{{ index .path.segments 1 }}",
            },
        },
        "spec": {
            "project": "slipway",
            "source": {"repoURL": values.env_repo, "targetRevision": "main", "path": "{{ .path.path }}"},
            "destination": {"server": _HERE, "namespace": "{{ index .path.segments 1 }}"},
            "syncPolicy": {
                # allowEmpty: of a model that is retired nothing stays but its holds and, in retired/, what people
                # wrote. Argo CD reads neither, so its server goes. (Folders cannot be found by their release.env
                # instead: a generator over files reads them as YAML, and fails as a whole on one that is not.)
                "automated": {"prune": True, "selfHeal": True, "allowEmpty": True},
                "syncOptions": ["ServerSideApply=true"],
                "retry": {"limit": 10, "backoff": {"duration": "5s", "factor": 2, "maxDuration": "3m"}},
            },
        },
    }
    git = {
        "repoURL": values.env_repo,
        "revision": "main",
        "requeueAfterSeconds": 60,  # where the sensor did not ask for it
        "directories": [{"path": f"envs/{environment}/*"} for environment in values.environments],
        # Argo CD writes this when it takes the sensor's wish to look off the object again. Were it not here, the next
        # `kubectl apply` would be refused for a conflict with Argo CD.
        "template": {"metadata": {}, "spec": {"destination": {}, "project": ""}},
    }
    spec = {
        "goTemplate": True,
        "goTemplateOptions": ["missingkey=error"],
        "generators": [{"git": git}],
        "template": template,
    }
    return thing("ApplicationSet", _ARGO, "slipway", values.argocd_namespace, spec=spec)
