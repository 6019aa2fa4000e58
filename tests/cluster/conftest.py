from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster import network, summary
from tests.cluster.build import built
from tests.cluster.forge import USERS, Forge, forge_as
from tests.cluster.journey import Journey
from tests.cluster.kube import Kube
from tests.cluster.person import Person, token
from tests.cluster.place import Place, default_folder
from tests.cluster.products import PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


@pytest.fixture(scope="session")
def place() -> Place:
    """The cluster that is up; this process moves into its network."""
    if os.environ.get("SLIPWAY_CLUSTER") != "1":
        pytest.skip("needs the test cluster: `python -m tests.cluster up`, then SLIPWAY_CLUSTER=1")
    if not network.exists():
        pytest.fail("SLIPWAY_CLUSTER=1, but no cluster is up; run `python -m tests.cluster up`")
    network.enter()
    return Place(default_folder(), {product.name: built(product) for product in PRODUCTS})


@pytest.fixture(scope="session")
def about(place: Place) -> dict[str, Any]:
    return summary.read(place.folder)


@pytest.fixture(scope="session")
def kube(place: Place) -> Kube:
    return Kube(place)


@pytest.fixture(scope="module")
def person(kube: Kube, about: dict[str, Any]) -> Person:
    """Who may only look."""
    return Person(about["argo_server"], token(kube))


@pytest.fixture(scope="session")
def ada(place: Place) -> Forge:
    """Who writes models."""
    return forge_as(place, USERS[0])


@pytest.fixture(scope="session")
def grace(place: Place) -> Forge:
    """Who approves."""
    return forge_as(place, USERS[1])


@pytest.fixture(scope="module")
def journey(place: Place, kube: Kube, ada: Forge, grace: Forge, tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """The team at work, with checkouts of its own."""
    return Journey(place, kube, ada, grace, tmp_path_factory.mktemp("checkouts"))


@pytest.fixture
def repository(ada: Forge, request: pytest.FixtureRequest) -> Iterator[str]:
    """A new repository of the organization, named after the test."""
    name = request.node.name.replace("_", "-")[:60]
    ada.call("DELETE", f"/repos/team/{name}", accept=(404,))
    ada.call("POST", "/orgs/team/repos", {"name": name, "private": True, "auto_init": True, "default_branch": "main"})
    yield f"team/{name}"
    ada.call("DELETE", f"/repos/team/{name}")


@pytest.fixture
def namespace(kube: Kube, about: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[str]:
    """A new namespace with what a workflow's pods need: their Role, and the artifact store's keys."""
    name = request.node.name.replace("_", "-").removeprefix("test-")[:50].rstrip("-")
    kube.run("delete", "namespace", name, "--ignore-not-found", "--wait=true", seconds=120)
    keys = {"accessKey": about["s3"]["access_key"], "secretKey": about["s3"]["secret_key"]}
    results = {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}
    subject = {"kind": "ServiceAccount", "name": "step", "namespace": name}
    rbac = "rbac.authorization.k8s.io"
    kube.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}])
    kube.apply(
        [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "artifacts", "namespace": name},
                "stringData": keys,
            },
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "step", "namespace": name}},
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "Role",
                "metadata": {"name": "step", "namespace": name},
                "rules": [results],
            },
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "step", "namespace": name},
                "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "step"},
                "subjects": [subject],
            },
        ]
    )
    yield name
    kube.run("delete", "namespace", name, "--wait=false")
