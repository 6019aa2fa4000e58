"""What is refused to a server's pod, asked from inside it: to the container that fetches the version, and to Triton.

The pod is that of the Deployment which the Kustomize base makes, but for the commands of both.
"""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gitops.installation import Installation
from tests.cluster import attempts, buckets, own_images, team
from tests.cluster.asking import until
from tests.cluster.serving import MODEL, serve_from

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.kube import Kube
    from tests.cluster.place import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EVERY = ["fetch", "triton"]
Seen = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def seen(place: Place, kube: Kube, about: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """What each attempt met, by container."""
    name = f"serving-{uuid.uuid4().hex[:8]}"
    bucket = buckets.administrator(place)
    for container in EVERY:
        bucket.put_object(Bucket=buckets.MODELS, Key=f"attempts/{container}", Body=b"there before")
    try:
        images = {target: own_images.reference(target) for target in ("light", "triton")}
        installation = Installation(**images, store=f"s3://{buckets.MODELS}/{name}")
        served = serve_from(kube, about, name, tmp_path_factory.mktemp("envs"), installation)
        # With the keys that an operator gives to environments, in place of the administrator's.
        given = kube.get("secret", "slipway-store-read", "--namespace=staging") or {}
        patch = json.dumps({"data": given["data"]})
        kube.run("patch", "secret", "slipway-store-read", f"--namespace={name}", "--type=merge", f"--patch={patch}")
        served.release(served.publish())
        deployment = kube.get(served.deployment, f"--namespace={name}") or {}
        kube.apply([_pod(name, deployment["spec"]["template"]["spec"], about)])
        yield {container: _said(kube, name, container) for container in EVERY}
    finally:
        kube.run("delete", "namespace", name, "--ignore-not-found", "--wait=true", seconds=180)
        shutil.rmtree(place.path("s3/models", name), ignore_errors=True)
        for key in (f"attempts/{container}{kind}" for container in EVERY for kind in ("", "-new")):
            bucket.delete_object(Bucket=buckets.MODELS, Key=key)


def _pod(namespace: str, spec: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    program = Path(attempts.__file__).read_text()
    given = {"run": "none", "model": MODEL, "forge": team.URL, "s3": about["s3"]["endpoint"], "bucket": buckets.MODELS}

    def trying(container: dict[str, Any]) -> dict[str, Any]:
        asked = json.dumps({**given, "step": container["name"], "prepare": False, "tidy": False})
        dropped = ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle")
        kept = {key: value for key, value in container.items() if key not in dropped}
        return {**kept, "command": ["python", "-c", program, asked], "args": []}

    kinds = ("initContainers", "containers")
    changed = {kind: [trying(container) for container in spec[kind]] for kind in kinds}
    metadata = {"name": "attempts", "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {**spec, **changed, "restartPolicy": "Never"},
    }


def _said(kube: Kube, namespace: str, container: str) -> dict[str, Any]:
    where = f"--namespace={namespace}"

    def ended() -> bool | None:
        status = (kube.get("pod", "attempts", where) or {}).get("status", {})
        return True if status.get("phase") in {"Succeeded", "Failed"} else None

    until(ended, 240, "the pod has ended")
    text = kube.run("logs", "attempts", f"--container={container}", where)
    return attempts.read(text, container)


@pytest.mark.parametrize("container", EVERY)
def test_a_server_is_an_ordinary_user_without_capabilities(seen: Seen, container: str) -> None:
    none = "0" * 16
    assert (seen[container]["user"], seen[container]["capabilities"]) == ("1000", f"{none} {none} {none}")


@pytest.mark.parametrize("container", EVERY)
def test_a_server_cannot_become_root(seen: Seen, container: str) -> None:
    assert (seen[container]["become root"], seen[container]["no new privileges, seccomp"]) == ("EPERM", "1 2")


@pytest.mark.parametrize("container", EVERY)
@pytest.mark.parametrize("attempt", ["write the root", "write slipway's code"])
def test_a_server_cannot_change_its_image(seen: Seen, attempt: str, container: str) -> None:
    assert seen[container][attempt] == "EROFS"


def test_triton_cannot_change_the_version_that_it_serves(seen: Seen) -> None:
    assert (seen["fetch"]["write the models"], seen["triton"]["write the models"]) == ("done", "EROFS")


@pytest.mark.parametrize("container", EVERY)
def test_a_server_has_no_token_of_kubernetes(seen: Seen, container: str) -> None:
    assert seen[container]["read a token"] == "ENOENT"


@pytest.mark.parametrize("container", EVERY)
@pytest.mark.parametrize(
    "attempt",
    [
        "list applications",
        "list secrets",
        "get the signing key",
        "create a workflow",
        "create a result",
        "patch an application",
        "patch a deployment",
    ],
)
def test_the_kubernetes_api_refuses_a_server(seen: Seen, attempt: str, container: str) -> None:
    assert seen[container][attempt] == "HTTP 403"


def test_only_what_fetches_has_the_key_that_verifies(seen: Seen) -> None:
    assert (seen["fetch"]["secrets mounted"], seen["triton"]["secrets mounted"]) == (["/keys"], [])


def test_triton_has_no_credential(seen: Seen) -> None:
    bucket = ["AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_SECRET_ACCESS_KEY"]
    name = "credentials in the environment"
    assert (seen["fetch"][name], seen["triton"][name]) == (bucket, [])


def test_the_bucket_is_read_by_what_fetches_alone(seen: Seen) -> None:
    assert (seen["fetch"]["read the store"], seen["triton"]["read the store"]) == ("HTTP 200", "HTTP 403")


@pytest.mark.parametrize("container", EVERY)
@pytest.mark.parametrize("attempt", ["write the store", "delete from the store", "write the artifacts"])
def test_a_server_writes_to_no_bucket(seen: Seen, attempt: str, container: str) -> None:
    assert seen[container][attempt] == "HTTP 403"


@pytest.mark.parametrize("container", EVERY)
@pytest.mark.parametrize("attempt", ["push to the environments", "push to the models"])
def test_a_server_cannot_push(seen: Seen, attempt: str, container: str) -> None:
    assert seen[container][attempt] == "no credential"
