"""Who may ask the Kubernetes API for what?"""

from __future__ import annotations

from typing import Any

from hera_workflows.templates.admission import EXECUTOR, SENSOR, TRAIN_EXECUTOR, admission
from hera_workflows.templates.objects import Object, thing
from hera_workflows.templates.values import Values

__all__ = ["access"]

_RBAC = "rbac.authorization.k8s.io"
_LIST = ["list"]


def access(values: Values) -> dict[str, list[Object]]:
    """ServiceAccounts, Roles and RoleBindings by file.

    An account that no file gives a Role has no rights at all.
    """
    return {
        "steps": [_account(values, f"slipway-{name}") for name in ("read", "train", "publish")],
        "executor": [*_executor(EXECUTOR, values), *_executor(TRAIN_EXECUTOR, values)],
        "release": _release(values),
        "admission": admission(values),
        "events": _events(values),
        "people": [_people(values)],
    }


def _executor(name: str, values: Values) -> list[Object]:
    """Argo's sidecar, which reports how a step ended; the only token in most pods, and not in the step's container."""
    namespace = values.namespace
    rule = _rule("argoproj.io", ["workflowtaskresults"], ["create", "patch"])
    # Argo mounts the token by this very name.
    bound = {"annotations": {"kubernetes.io/service-account.name": name}}
    token = thing(
        "Secret",
        "v1",
        f"{name}.service-account-token",
        namespace,
        metadata=bound,
        type="kubernetes.io/service-account-token",
    )
    return [_account(values, name), token, *_granted(name, namespace, [rule], values)]


def _release(values: Values) -> list[Object]:
    """What promote asks: is that which it judges live?"""
    name = "slipway-release"
    served = [_rule("apps", ["deployments"], _LIST), _rule("", ["configmaps"], _LIST)]  # a release is a ConfigMap
    return [
        # Argo leaves the token of a template that asks for one to the account; bump and retire say that they want none.
        _account(values, name, token=True),
        *_granted(name, values.argocd_namespace, [_rule("argoproj.io", ["applications"], _LIST)], values),
        *(thing for environment in values.environments for thing in _granted(name, environment, served, values)),
    ]


def _events(values: Values) -> list[Object]:
    name = SENSOR
    # Get and patch beside create: a delivery that comes twice finds its workflow and leaves it as it is.
    rule = _rule("argoproj.io", ["workflows"], ["get", "create", "patch"])
    refresh = {**_rule("argoproj.io", ["applicationsets"], ["get", "patch"]), "resourceNames": ["slipway"]}
    return [
        _account(values, "slipway-event-source"),
        _account(values, "slipway-event-bus"),
        _account(values, name, token=True),  # its pod is made by Argo Events, which leaves the token to the account
        *_granted(name, values.namespace, [rule], values),
        *_granted(name, values.argocd_namespace, [refresh], values),
    ]


def _people(values: Values) -> Object:
    """For people, by a RoleBinding of the operator's: workflows, their logs and reports in the Argo UI."""
    argo = ["workflows", "workflowtemplates", "cronworkflows", "eventsources", "sensors", "eventbus"]
    look = ["get", "list", "watch"]
    rules = [
        _rule("argoproj.io", argo, look),
        _rule("", ["pods", "pods/log"], look),
        # argo-server reads the artifact repository with the rights of who asks.
        {**_rule("", ["secrets"], ["get"]), "resourceNames": [values.secrets.artifacts]},
    ]
    return thing("Role", f"{_RBAC}/v1", "slipway-viewer", values.namespace, rules=rules)


def _account(values: Values, name: str, *, token: bool = False) -> Object:
    return thing("ServiceAccount", "v1", name, values.namespace, automountServiceAccountToken=token)


def _rule(group: str, resources: list[str], verbs: list[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _granted(account: str, namespace: str, rules: list[dict[str, Any]], values: Values) -> list[Object]:
    subject = {"kind": "ServiceAccount", "name": account, "namespace": values.namespace}
    role = {"apiGroup": _RBAC, "kind": "Role", "name": account}
    return [
        thing("Role", f"{_RBAC}/v1", account, namespace, rules=rules),
        thing("RoleBinding", f"{_RBAC}/v1", account, namespace, roleRef=role, subjects=[subject]),
    ]
