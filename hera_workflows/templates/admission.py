"""What may an account not do although its Role allows it? A Role cannot limit what a patch says."""

from __future__ import annotations

from typing import Any

from hera_workflows.templates.events import LOOK
from hera_workflows.templates.objects import Object, thing
from hera_workflows.templates.values import Values

__all__ = ["EXECUTOR", "SENSOR", "TRAIN_EXECUTOR", "admission"]

SENSOR = "slipway-sensor"
EXECUTOR, TRAIN_EXECUTOR = "slipway-executor", "slipway-train-executor"  # Argo's sidecar: in training's pods, in others
# Of its metadata; who owns an object and what finalizes it decides when it is deleted.
_KEPT = ("labels", "finalizers", "ownerReferences")


def admission(values: Values) -> list[Object]:
    """ValidatingAdmissionPolicies and their bindings."""
    return [*_sensor(values), *_training(values)]


def _sensor(values: Values) -> list[Object]:
    """Of the ApplicationSet, the sensor changes nothing but that annotation.

    Who changes its spec lets Argo CD apply anything anywhere.
    """
    demands = [
        "object.spec == oldObject.spec",
        *(f"object.metadata.?{field} == oldObject.metadata.?{field}" for field in _KEPT),
        # In both, since a key may be in one alone.
        "[variables.before, variables.after].all(each, each.all(key,"
        f" key == '{LOOK}' || variables.before[?key] == variables.after[?key]))",
    ]
    variables = {
        "before": "oldObject.metadata.?annotations.orValue({})",
        "after": "object.metadata.?annotations.orValue({})",
    }
    said = f"slipway's sensor may change nothing but the annotation {LOOK}"
    where = (values.argocd_namespace, "applicationsets", ["UPDATE"])
    return _policy(values, "sensor", SENSOR, where, variables, demands, said)


def _training(values: Values) -> list[Object]:
    """What reports that training ended says nothing else.

    People's code in training can get at its token, since Argo lets both write one folder. Results belong to steps by
    their names alone, and what plan and publish say in theirs decides what other pods are made of.
    """
    harmless = (
        "!has(each.outputs) || (!has(each.outputs.parameters) && !has(each.outputs.result)"
        " && each.outputs.?artifacts.orValue([]).all(artifact, artifact.name == 'main-logs'))"
    )
    variables = {"results": "oldObject == null ? [object] : [object, oldObject]"}
    demands = [f"variables.results.all(each, {harmless})"]
    said = "the executor of training may report an end and a log, and change no result with more in it"
    where = (values.namespace, "workflowtaskresults", ["CREATE", "UPDATE"])
    return _policy(values, "training", TRAIN_EXECUTOR, where, variables, demands, said)


def _policy(
    values: Values,
    name: str,
    account: str,
    where: tuple[str, str, list[str]],
    variables: dict[str, str],
    demands: list[str],
    said: str,
) -> list[Object]:
    """where: namespace, resources of Argo's, operations; demands: CEL that must hold of what the account does there."""
    # These belong to the cluster, where another slipway may be, too.
    version, name = "admissionregistration.k8s.io/v1", f"{values.namespace}-{name}"
    namespace, resources, operations = where
    rule: dict[str, Any] = {"apiGroups": ["argoproj.io"], "apiVersions": ["*"], "resources": [resources]}
    who = f"request.userInfo.username == 'system:serviceaccount:{values.namespace}:{account}'"
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "resourceRules": [{**rule, "operations": operations}],
        },
        "matchConditions": [{"name": "account", "expression": who}],
        "variables": [{"name": key, "expression": text} for key, text in variables.items()],
        "validations": [{"expression": text, "message": said, "reason": "Forbidden"} for text in demands],
    }
    binding = {"policyName": name, "validationActions": ["Deny"]}
    return [
        thing("ValidatingAdmissionPolicy", version, name, None, spec=policy),
        thing("ValidatingAdmissionPolicyBinding", version, name, None, spec=binding),
    ]
