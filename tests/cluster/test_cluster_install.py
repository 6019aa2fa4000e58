"""Is what `slipway render` wrote what the real API server has, and may each account do no more than it should?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from gitops.layout import kubernetes_name
from hera_workflows.templates.render import render
from hera_workflows.templates.values import Values
from slipway.errors import TryAgain
from tests.cluster.asking import commit, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.forge import Forge
    from tests.cluster.kube import Kube
    from tests.cluster.place import Place

pytestmark = pytest.mark.slow
PROJECTS = {"source_project": "team/models", "env_project": "team/environments"}


@pytest.fixture(scope="module")
def manifests(place: Place) -> Path:
    """What the installed cluster was given."""
    return place.path("install/deploy")


def objects(manifests: Path) -> list[dict[str, Any]]:
    files = [path for path in manifests.rglob("*.yaml") if path.name != "kustomization.yaml"]
    return [document for path in files for document in yaml.safe_load_all(path.read_text())]


def test_the_api_server_takes_every_manifest_with_every_field(kube: Kube, manifests: Path) -> None:
    words = ["apply", "--server-side", "--dry-run=server", "--validate=strict"]
    taken = kube.run(*words, "-k", str(manifests), seconds=240)
    assert len(taken.splitlines()) == len(objects(manifests))


ELSE: dict[str, dict[str, Any]] = {
    "Argo Events' own event bus": {"event_bus": {}},
    "an Ingress": {"webhook": {"host": "events.example.com", "ingress_class": "nginx", "tls_secret": "events-tls"}},
    "a store on a volume": {"store": "/store"},
    "GitHub": {"forge": {"kind": "github", "url": "https://github.com", **PROJECTS}},
    "GitLab": {"forge": {"kind": "gitlab", "url": "https://gitlab.example", **PROJECTS}},
}


@pytest.mark.parametrize("what", ELSE)
def test_the_api_server_takes_what_other_values_render_otherwise(
    kube: Kube, place: Place, manifests: Path, what: str
) -> None:
    installed = yaml.safe_load(place.path("install/values.yaml").read_text())
    files = render(Values.model_validate({**installed, **ELSE[what]}))
    there = {str(path.relative_to(manifests)): path.read_text() for path in manifests.rglob("*.yaml")}
    other = [text for path, text in files.items() if text != there.get(path) and path != "kustomization.yaml"]
    documents = [document for text in other for document in yaml.safe_load_all(text)]
    assert documents
    words = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-"]
    taken = kube.run(*words, text=yaml.safe_dump_all(documents), seconds=240)
    assert len(taken.splitlines()) == len(documents)


@pytest.mark.parametrize(
    "kind", ["WorkflowTemplate", "NetworkPolicy", "AppProject", "ApplicationSet", "PrometheusRule"]
)
def test_a_field_that_does_not_exist_is_refused(kube: Kube, manifests: Path, kind: str) -> None:
    document = next(one for one in objects(manifests) if one["kind"] == kind)
    document["spec"]["doesNotExist"] = True
    with pytest.raises(TryAgain, match="doesNotExist"):
        kube.run(
            *["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-"],
            text=json.dumps(document),
            seconds=120,
        )


def test_after_the_install_nothing_differs(kube: Kube, manifests: Path) -> None:
    assert kube.run("diff", "--server-side", "-k", str(manifests), seconds=240) == ""


@pytest.mark.parametrize("namespace", ["slipway", "staging", "production"])
def test_every_pod_that_runs_is_restricted(kube: Kube, namespace: str) -> None:
    # For another version of the policy the API server looks at the pods that are there, and warns.
    labels = ["pod-security.kubernetes.io/enforce=restricted", "pod-security.kubernetes.io/enforce-version=v1.33"]
    words = ["label", "namespace", namespace, *labels, "--overwrite", "--dry-run=server", "--warnings-as-errors"]
    assert "labeled" in kube.run(*words, seconds=60)


def test_of_slipways_own_images_nothing_runs_but_the_steps_of_workflows(kube: Kube, about: dict[str, Any]) -> None:
    own = tuple(f"{about['registry']['host']}/slipway/{target}@" for target in ("light", "train", "evaluate"))
    pods = (kube.get("pods", "--all-namespaces") or {})["items"]
    # Triton, and Argo Events' own two, which it keeps for every event source and sensor.
    resident = [pod for pod in pods if "workflows.argoproj.io/workflow" not in pod["metadata"].get("labels", {})]
    assert len(resident) >= 2
    images = [container["image"] for pod in resident for container in pod["spec"]["containers"]]
    assert [image for image in images if image.startswith(own)] == []


RIGHTS = [
    ("slipway-executor", "create", "workflowtaskresults.argoproj.io", "slipway", True),
    ("slipway-executor", "patch", "workflowtaskresults.argoproj.io", "slipway", True),
    ("slipway-train-executor", "create", "workflowtaskresults.argoproj.io", "slipway", True),
    ("slipway-train-executor", "patch", "workflowtaskresults.argoproj.io", "slipway", True),
    ("slipway-train-executor", "get", "secrets", "slipway", False),
    ("slipway-executor", "get", "workflows.argoproj.io", "slipway", False),
    ("slipway-executor", "get", "secrets", "slipway", False),
    ("slipway-sensor", "create", "workflows.argoproj.io", "slipway", True),
    ("slipway-sensor", "create", "workflows.argoproj.io", "staging", False),
    ("slipway-sensor", "create", "workflows.argoproj.io", "default", False),
    ("slipway-sensor", "delete", "workflows.argoproj.io", "slipway", False),
    ("slipway-sensor", "get", "secrets", "slipway", False),
    ("slipway-release", "list", "applications.argoproj.io", "argocd", True),
    ("slipway-release", "list", "deployments.apps", "production", True),
    ("slipway-release", "patch", "applications.argoproj.io", "argocd", False),
    ("slipway-release", "patch", "deployments.apps", "production", False),
    ("slipway-release", "get", "secrets", "argocd", False),
    ("slipway-train", "create", "pods", "slipway", False),
    ("slipway-train", "get", "secrets", "slipway", False),
    ("slipway-publish", "get", "secrets", "slipway", False),
    ("slipway-read", "get", "secrets", "slipway", False),
    ("slipway-event-source", "create", "workflows.argoproj.io", "slipway", False),
]


@pytest.mark.parametrize(("account", "verb", "resource", "namespace", "allowed"), RIGHTS)
def test_the_authorizer_allows_an_account(
    kube: Kube, account: str, verb: str, resource: str, namespace: str, allowed: bool
) -> None:
    who = f"--as=system:serviceaccount:slipway:{account}"
    try:
        answer = kube.run("auth", "can-i", verb, resource, f"--namespace={namespace}", who).strip()
    except TryAgain:
        answer = "no"  # kubectl says so by its exit code too
    assert answer == ("yes" if allowed else "no")


_LOOK = "argocd.argoproj.io/application-set-refresh"
_FOREIGN = {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "0"}


def as_the_sensor(kube: Kube, patch: dict[str, Any]) -> str:
    """What the API server would answer to the sensor's patch of the installed ApplicationSet."""
    words = ["applicationset", "slipway", "--namespace=argocd", "--type=merge", f"--patch={json.dumps(patch)}"]
    return kube.run("patch", *words, "--dry-run=server", "--as=system:serviceaccount:slipway:slipway-sensor")


def test_the_sensor_may_ask_argo_cd_to_look(kube: Kube) -> None:
    assert "patched" in as_the_sensor(kube, {"metadata": {"annotations": {_LOOK: "true"}}})


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param({"spec": {"template": {"spec": {"project": "default"}}}}, id="spec"),
        pytest.param({"metadata": {"annotations": {_LOOK: "true", "another": "true"}}}, id="another annotation"),
        pytest.param({"metadata": {"labels": {"app.kubernetes.io/part-of": None}}}, id="label"),
        pytest.param({"metadata": {"finalizers": ["example.com/never"]}}, id="finalizer"),
        pytest.param({"metadata": {"ownerReferences": [_FOREIGN]}}, id="owner"),
    ],
)
def test_the_sensor_changes_nothing_else_of_the_application_set(kube: Kube, patch: dict[str, Any]) -> None:
    with pytest.raises(TryAgain, match="may change nothing but the annotation"):
        as_the_sensor(kube, patch)


_NAMED = ("applicationset", "install-tests", "--namespace=argocd")
MODELS = ("digits", "cats_dogs", "a-b", "a_b", f"{'x' * 60}_y")


@pytest.fixture
def delivery(about: dict[str, Any], repository: str) -> list[dict[str, Any]]:
    """The project and the ApplicationSet of a repository, under a name of their own."""
    url, named = f"{about['forge']['url']}/{repository}.git", "install-tests"
    files = render(Values.model_validate({"environments": [named], "env_repo": url}))
    project, applications = (yaml.safe_load(files[f"delivery/{name}.yaml"]) for name in ("project", "applications"))
    for one in (project, applications):
        one["metadata"]["name"] = named
    applications["spec"]["template"]["spec"]["project"] = named
    return [project, applications]


@pytest.fixture
def applications(kube: Kube, delivery: list[dict[str, Any]], repository: str, ada: Forge) -> Iterator[set[str]]:
    """The names of the Applications that Argo CD makes of a repository with these models."""
    named, [url] = delivery[0]["metadata"]["name"], delivery[0]["spec"]["sourceRepos"]
    for model in MODELS:
        commit(ada, repository, f"envs/{named}/{model}/config.yaml", "kind: none\n")
    commit(ada, repository, "envs/elsewhere/digits/config.yaml", "kind: none\n")
    credential = {"type": "git", "url": url, "username": ada.user, "password": ada.password}
    secret = {"name": named, "namespace": "argocd", "labels": {"argocd.argoproj.io/secret-type": "repository"}}
    kube.apply([{"apiVersion": "v1", "kind": "Secret", "metadata": secret, "stringData": credential}])
    kube.apply(delivery)

    def made() -> set[str] | None:
        found = kube.get("applications", "--namespace=argocd") or {}
        mine = [item for item in found.get("items", []) if item["spec"]["project"] == named]
        if len(mine) < len(MODELS):
            ask_to_look(kube)  # what it could not read, because it did not know the Secret yet, it reads after minutes
            return None
        return {item["metadata"]["name"] for item in mine}

    yield until(made, 120, "one Application a model", every=5)
    kube.run("delete", "applicationset", named, "--namespace=argocd", "--wait=true", seconds=90)
    until(lambda: True if not _of(kube, named) else None, 90, "the Applications are gone")
    kube.run("delete", "appproject,secret", named, "--namespace=argocd", "--ignore-not-found")


def _of(kube: Kube, project: str) -> list[str]:
    found = kube.get("applications", "--namespace=argocd") or {}
    return [item["metadata"]["name"] for item in found.get("items", []) if item["spec"]["project"] == project]


def test_what_the_sensor_asks_shows_argo_cd_a_new_model_at_once(
    kube: Kube, applications: set[str], repository: str, ada: Forge
) -> None:
    commit(ada, repository, "envs/install-tests/late/config.yaml", "kind: none\n")
    ask_to_look(kube)
    # By itself it looks after a minute.
    until(lambda: "install-tests-late" in _of(kube, "install-tests") or None, 20, "an Application for the new model")


def test_after_argo_cd_was_asked_to_look_its_object_is_as_it_was_rendered(
    kube: Kube, applications: set[str], delivery: list[dict[str, Any]]
) -> None:
    ask_to_look(kube)
    until(lambda: True if not looks(kube) else None, 60, "Argo CD has looked")
    assert kube.run("diff", "--server-side", "-f", "-", text=json.dumps(delivery[1])) == ""


def ask_to_look(kube: Kube) -> None:
    """As the sensor does it."""
    asked = {"metadata": {"annotations": {_LOOK: "true"}}}
    kube.run("patch", *_NAMED, "--type=merge", f"--patch={json.dumps(asked)}")


def looks(kube: Kube) -> bool:
    """Whether it was asked, and has not looked since."""
    return _LOOK in ((kube.get(*_NAMED) or {})["metadata"].get("annotations") or {})


def test_argo_cd_names_an_application_as_the_objects_in_its_folder_are_named(applications: set[str]) -> None:
    assert applications == {f"install-tests-{kubernetes_name(model)}" for model in MODELS}
