"""What `slipway doctor` says of the installed cluster, and of installations with one thing wrong."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cluster import forge
from tests.cluster.journey import note
from triton_repo.signing import generate_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster.kube import Kube
    from tests.cluster.place import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
NAMESPACE = "doctor-tests"
Findings = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def installed(place: Place) -> dict[str, Any]:
    """The values of the installation that `up` made."""
    return dict(yaml.safe_load(place.path("install/values.yaml").read_text()))


@pytest.fixture(scope="session")
def doctor(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[int, Findings]]:
    """doctor(values, kubeconfig) is its exit code, and its findings by subject."""

    def ask(values: dict[str, Any], kubeconfig: Path | None = None) -> tuple[int, Findings]:
        file = tmp_path_factory.mktemp("doctor") / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        command = [str(Path(sys.prefix, "bin/slipway")), "doctor", "--values", str(file), "--json"]
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig or place.kubeconfig)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=250)
        assert done.stderr == ""
        return done.returncode, {each["subject"]: each for each in json.loads(done.stdout)}

    return ask


def test_nothing_is_missing_in_the_installed_cluster(doctor, installed, journey):
    # Before somebody pushes, a repository has no branch.
    journey.pushed("Take a note", note("asked for a doctor"))
    code, findings = doctor(installed)
    assert [each for each in findings.values() if each["state"] in ("missing", "unknown")] == []
    assert code == 0


NOBODY = "http://127.0.0.1:9"
# What values say that the cluster has not; two files, since a repository that cannot be read hides what is in it.
ELSEWHERE = {
    "secrets": {"webhook": "no-such-secret"},
    "images": {"light": "registry.test/other:1"},
    "schedules": {"gc": "1 2 3 4 5"},
    "env_repo": f"{forge.URL}/team/other.git",
    "source_repo": f"{forge.URL}/team/no-such.git",
    "store": "s3://no-such-bucket",
    "workspace_claim": "no-such-claim",
    "prometheus": NOBODY,
    "forge": {"env_project": "team/no-such-project"},
}
BESIDE = {
    "source_branch": "no-such-branch",
    "secrets": {"git_write": "slipway-git-read"},
    "environments": ["staging", "production", "no-such-place"],
}
# The finding that must appear, and how what it says begins; a server's own words are not ours to test.
WRONG = [
    (ELSEWHERE, "secret slipway/no-such-secret", "does not exist; it is for deliveries of the forge"),
    (
        ELSEWHERE,
        "EventSource slipway/slipway",
        "differs from what is rendered at spec.github.push.",
    ),
    (ELSEWHERE, "WorkflowTemplate slipway/slipway-gc", "differs from what is rendered at spec."),
    (ELSEWHERE, "CronWorkflow slipway/slipway-gc", "differs from what is rendered at spec.schedules.0"),
    (ELSEWHERE, "ApplicationSet slipway", f"watches {forge.URL}/team/environments.git, not {forge.URL}/team/other.git"),
    (ELSEWHERE, f"{forge.URL}/team/no-such.git read", ""),
    (
        ELSEWHERE,
        "s3://no-such-bucket written with slipway-store-write",
        "s3://no-such-bucket: the bucket does not exist",
    ),
    (ELSEWHERE, "claim slipway/no-such-claim", "does not exist"),
    (ELSEWHERE, f"Prometheus at {NOBODY}", f"{NOBODY}/api/v1/query does not answer"),
    (ELSEWHERE, f"gitea at {forge.URL}", ""),
    (BESIDE, f"{forge.URL}/team/models.git read", "has no branch no-such-branch"),
    (BESIDE, f"{forge.URL}/team/environments.git written with slipway-git-read", ""),
    (
        BESIDE,
        f"{forge.URL}/team/environments.git environments",
        "envs/environments.yaml names staging, production, the values staging, production, no-such-place",
    ),
    (BESIDE, "namespace no-such-place", "does not exist"),
    (BESIDE, "NetworkPolicy", "does not exist: no-such-place/nobody, no-such-place/triton"),
    (BESIDE, "slipway/slipway-release", "may not list"),
]


@pytest.fixture(scope="session")
def wrong(doctor, installed) -> Callable[[dict[str, Any]], tuple[int, Findings]]:
    """wrong(change) is what doctor says when the values differ so from the installation; asked once for each."""

    @functools.cache
    def ask(change: str) -> tuple[int, Findings]:
        merged = {**installed}
        for key, value in json.loads(change).items():
            merged[key] = {**installed.get(key, {}), **value} if isinstance(value, dict) else value
        return doctor(merged)

    return lambda change: ask(json.dumps(change))


@pytest.mark.parametrize(("change", "subject", "said"), [pytest.param(*each, id=each[1]) for each in WRONG])
def test_what_is_wrong_is_found_and_has_a_remedy(wrong, change, subject, said):
    code, findings = wrong(change)
    assert code == 78
    assert findings[subject]["state"] == "missing"
    assert findings[subject]["message"].startswith(said)
    assert findings[subject]["remedy"]


@pytest.fixture(scope="module")
def careless(kube: Kube, about: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """An installation whose operator brought bad Secrets, gave too much away and left Pod Security out."""
    staging = f"{NAMESPACE}-staging"
    keys = tmp_path_factory.mktemp("keys")
    for name in ("one", "other"):
        generate_keys(keys / f"{name}.key", keys / f"{name}.pub")
    kube.run("delete", "namespace", NAMESPACE, staging, "--ignore-not-found", "--wait=true", seconds=120)
    kube.apply([_thing("v1", "Namespace", name, None) for name in (NAMESPACE, staging)])
    rbac, train = "rbac.authorization.k8s.io", {"name": "slipway-train", "namespace": NAMESPACE}
    generous = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    kube.apply(
        [
            _secret("slipway-webhook", secret="short"),
            _secret("slipway-forge", token=""),
            _secret("slipway-git-write", password="under a wrong name"),
            _secret("slipway-signing", **{"signing.key": (keys / "one.key").read_text()}),
            _secret("slipway-verify", **{"signing.pub": (keys / "other.pub").read_text()}),
            _thing(f"{rbac}/v1", "Role", "generous", NAMESPACE, rules=[generous]),
            _thing(
                f"{rbac}/v1",
                "RoleBinding",
                "generous",
                NAMESPACE,
                roleRef={"apiGroup": rbac, "kind": "Role", "name": "generous"},
                subjects=[{"kind": "ServiceAccount", **train}],
            ),
        ]
    )
    # Prometheus as most clusters have it: a pod behind a Service, whose name means nothing outside.
    host, port = about["prometheus"].removeprefix("http://").split(":")
    command = ["python", "-c", RELAY, host, port]
    relay = {"name": "relay", "image": about["images"]["base"], "command": command}
    relay["readinessProbe"] = {"tcpSocket": {"port": int(port)}, "periodSeconds": 1}
    pod = _thing("v1", "Pod", "prometheus", NAMESPACE, spec={"containers": [relay], "terminationGracePeriodSeconds": 0})
    pod["metadata"]["labels"] = {"app": "prometheus"}
    spec = {"ports": [{"port": int(port)}], "selector": {"app": "prometheus"}}
    kube.apply([pod, _thing("v1", "Service", "prometheus", NAMESPACE, spec=spec)])
    kube.run(
        "wait", "pod/prometheus", f"--namespace={NAMESPACE}", "--for=condition=Ready", "--timeout=120s", seconds=130
    )
    yield {
        "namespace": NAMESPACE,
        "environments": [staging],
        "prometheus": f"http://prometheus.{NAMESPACE}.svc:{port}",
    }
    kube.run("delete", "namespace", NAMESPACE, staging, "--wait=false")


# The bytes of every connection to the same port of another host, and back.
RELAY = """
import asyncio, sys

async def copy(source, sink):
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    sink.close()

async def serve(source, sink):
    there, back = await asyncio.open_connection(sys.argv[1], int(sys.argv[2]))
    await asyncio.gather(copy(source, back), copy(there, sink))

async def main():
    await (await asyncio.start_server(serve, port=int(sys.argv[2]))).serve_forever()

asyncio.run(main())
"""
CARELESS = {
    f"namespace {NAMESPACE}": "enforces Pod Security of no level, not restricted",
    f"secret {NAMESPACE}/slipway-webhook": "secret is too short; it is for deliveries of the forge",
    f"secret {NAMESPACE}/slipway-forge": "token is empty",
    f"secret {NAMESPACE}/slipway-git-write": "credentials is absent",
    f"verify key in {NAMESPACE}": "is not the public half of the key that signs",
    f"{NAMESPACE}/slipway-train": "may get secrets",
    "WorkflowTemplate": f"does not exist: {NAMESPACE}/slipway-push",
}


@pytest.fixture(scope="module")
def found(doctor, installed, careless) -> tuple[int, Findings]:
    return doctor({**installed, **careless})


@pytest.mark.parametrize("subject", CARELESS)
def test_what_a_careless_operator_did_is_found(found, subject):
    code, findings = found
    assert code == 78
    assert findings[subject]["state"] == "missing"
    assert findings[subject]["message"].startswith(CARELESS[subject])
    assert findings[subject]["remedy"]


def test_a_prometheus_behind_a_service_is_asked_through_the_api_server(found, careless):
    assert found[1][f"Prometheus at {careless['prometheus']}"]["state"] == "ok"
    assert found[1]["Prometheus's clock"]["state"] == "ok"


def test_no_secret_is_printed(found):
    assert "under a wrong name" not in json.dumps(found)


def test_to_a_user_without_rights_nothing_is_well(kube, place, doctor, installed, careless, tmp_path):
    """As an account that may do nothing: no check passes for lack of an answer."""
    kube.apply([_thing("v1", "ServiceAccount", "nobody", NAMESPACE)])
    token = kube.run("create", "token", "nobody", f"--namespace={NAMESPACE}").strip()
    config = json.loads(Path(place.kubeconfig).read_text())
    config["users"] = [{"name": each["name"], "user": {"token": token}} for each in config["users"]]
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    code, findings = doctor(installed, tmp_path / "kubeconfig")
    assert code in (75, 78)
    unknown = {each["area"] for each in findings.values() if each["state"] == "unknown"}
    assert unknown >= {"namespaces", "secrets", "manifests", "rights", "capacity", "delivery", "approval"}


def _thing(version: str, kind: str, name: str, namespace: str | None, **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}


def _secret(name: str, **content: str) -> dict[str, Any]:
    return _thing("v1", "Secret", name, NAMESPACE, stringData=content)
