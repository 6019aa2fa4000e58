"""May everybody do what they must, and nobody what they must not?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hera_workflows.doctor.finding import Finding, missing, ok, unknown
from hera_workflows.doctor.installation import Installation
from hera_workflows.templates.admission import EXECUTOR, TRAIN_EXECUTOR
from hera_workflows.templates.values import Values

__all__ = ["Right", "check", "expected", "judge", "needed"]

_REVIEWS = "/apis/authorization.k8s.io/v1"
_EXECUTORS = (EXECUTOR, TRAIN_EXECUTOR)
_STEPS = ("slipway-read", "slipway-train", "slipway-publish", "slipway-release")
_ARGO = "argoproj.io"


@dataclass(frozen=True, slots=True)
class Right:
    """One thing that somebody does to one kind of object in one namespace."""

    verb: str
    group: str
    resource: str
    namespace: str  # "" for all
    allowed: bool = True  # as it should be
    account: str = ""  # a ServiceAccount of slipway's namespace; "" for whoever asks

    def __str__(self) -> str:
        what = f"{self.verb} {self.resource}" + (f".{self.group}" if self.group else "")
        return f"{what} in {self.namespace}" if self.namespace else what


def check(installation: Installation) -> Iterator[Finding]:
    """What doctor itself may not do, then each wrong right, and how many are as they should be."""
    values, right = installation.values, 0
    for each in needed(values):
        if not _asked(installation, each):
            yield unknown("you", f"may not {each}, so that a part of this cannot be said", "ask as an administrator")
    for each in expected(values):
        if (finding := judge(each, _asked(installation, each), values.namespace)) is None:
            right += 1
        else:
            yield finding
    if right:
        yield ok("service accounts", f"{right} rights are given or withheld as they should be")


def needed(values: Values) -> list[Right]:
    """What doctor does."""
    ours = values.namespace
    return [
        Right("create", "authorization.k8s.io", "subjectaccessreviews", ""),
        Right("get", "", "secrets", ours),
        Right("patch", _ARGO, "workflowtemplates", ours),
        Right("list", _ARGO, "applications", values.argocd_namespace),
        Right("list", "", "nodes", ""),
    ]


def expected(values: Values) -> list[Right]:
    """What each account must be able to do, and what an attacker in its pod would like to."""
    ours, results = values.namespace, "workflowtaskresults"
    given = [
        *(Right(verb, _ARGO, results, ours, account=name) for name in _EXECUTORS for verb in ("create", "patch")),
        *(Right(verb, _ARGO, "workflows", ours, account="slipway-sensor") for verb in ("create", "patch")),
        Right("list", _ARGO, "applications", values.argocd_namespace, account="slipway-release"),
        *(
            Right("list", group, resource, name, account="slipway-release")
            for name in values.environments
            for group, resource in (("apps", "deployments"), ("", "configmaps"))
        ),
    ]
    accounts = (*_STEPS, *_EXECUTORS, "slipway-event-source", "slipway-sensor")
    withheld = [Right("get", "", "secrets", ours, False, account) for account in accounts]
    withheld += [Right("create", "", "pods", ours, False, account) for account in accounts]
    withheld += [
        Right("create", _ARGO, "workflows", ours, False, account) for account in accounts if account != "slipway-sensor"
    ]
    withheld += [Right("create", _ARGO, "workflows", "default", False, "slipway-sensor")]
    withheld += [
        Right(verb, group, resource, name, False, account)
        for name in values.environments
        for account in ("slipway-release", "slipway-train", "slipway-sensor")
        for verb, group, resource in (("patch", "apps", "deployments"), ("get", "", "secrets"))
    ]
    withheld += [Right("patch", _ARGO, "applications", values.argocd_namespace, False, "slipway-release")]
    return given + withheld


def judge(right: Right, allowed: bool, namespace: str) -> Finding | None:
    """None when it is as it should be."""
    if allowed == right.allowed:
        return None
    subject = f"{namespace}/{right.account}"
    if right.allowed:
        return missing(
            subject,
            f"may not {right}",
            "kubectl apply --server-side -k on what slipway render wrote; kubectl auth can-i --as shows the rest",
        )
    return missing(
        subject,
        f"may {right}, which it must not",
        f"find who gave it: kubectl get rolebindings,clusterrolebindings -A -o wide | grep {right.account}",
    )


def _asked(installation: Installation, right: Right) -> bool:
    where = {"verb": right.verb, "group": right.group, "resource": right.resource, "namespace": right.namespace}
    spec: dict[str, object] = {"resourceAttributes": {key: value for key, value in where.items() if value}}
    kind = "SelfSubjectAccessReview"
    if right.account:
        namespace = installation.values.namespace
        kind = "SubjectAccessReview"
        spec["user"] = f"system:serviceaccount:{namespace}:{right.account}"
        spec["groups"] = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    answer = installation.api.create(f"{_REVIEWS}/{kind.lower()}s", body)
    return bool((answer or {}).get("status", {}).get("allowed"))
