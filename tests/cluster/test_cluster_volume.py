"""Do the steps and the servers share a volume as they share a bucket? With claims as docs/install.md describes them.

The export belongs to the user that every pod runs as; nothing but pods writes to it.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from gitops.installation import Installation
from hera_workflows.learning.trained import Trained
from hera_workflows.templates.render import render
from hera_workflows.templates.values import Values
from hera_workflows.workspace import source_folder, validation_file
from slipway.version import ModelVersion
from tests.cluster.asking import finished, until
from tests.cluster.journey import failures
from tests.cluster.serving import MODEL, serve_from
from tests.cluster.traffic import Traffic
from tests.triton_repo.triton_toys import COMMIT, make_candidate, make_draft
from triton_repo.config import signature_of
from triton_repo.golden import load_golden

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.kube import Kube
    from tests.cluster.place import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HERE = "--namespace=slipway"
USER = 1000


@dataclass(frozen=True, slots=True)
class Volume:
    """An export that is claimed for slipway's steps, and what an installation is made of whose store it is."""

    kube: Kube
    folder: Path
    workspace: Path
    templates: dict[str, str]
    servers: Installation

    def publish(self, model: str) -> ModelVersion:
        """What became of a candidate by the step publish; its run is gone from the workspace afterwards."""
        run = f"{self.folder.name}-{uuid.uuid4().hex[:8]}"
        _candidate(self.workspace / run / model)
        try:
            said = self.run(run, "slipway-push", "publish", model=model, commit=COMMIT)
        finally:
            shutil.rmtree(self.workspace / run)
        return ModelVersion(model, int(said["number"]), said["digest"])

    def run(self, name: str, template: str, step: str, *more: str, **given: str) -> dict[str, str]:
        """What one step hands on, alone in a workflow and with more arguments than it has."""
        spec = yaml.safe_load(self.templates[f"workflows/{template}.yaml"])["spec"]
        [only] = [one for one in spec["templates"] if one["name"] == step]
        only["container"]["args"] += more
        known = {one["name"]: one.get("value", "") for one in spec["arguments"]["parameters"]}
        parameters = [{"name": key, "value": value} for key, value in {**known, **given}.items()]
        alone = {"entrypoint": step, "templates": [only], "arguments": {"parameters": parameters}}
        kept = {key: value for key, value in spec.items() if key != "onExit"}
        metadata = {"name": name, "namespace": "slipway", "labels": {"volume": self.folder.name}}
        workflow = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata}
        self.kube.run("create", "-f", "-", text=json.dumps({**workflow, "spec": {**kept, **alone}}))
        status = finished(self.kube, "slipway", name)
        assert status["phase"] == "Succeeded", failures({"status": status})
        [pod] = [node for node in status["nodes"].values() if node["type"] == "Pod"]
        return {one["name"]: one["value"] for one in pod.get("outputs", {}).get("parameters", [])}


def _candidate(folder: Path) -> None:
    """The work on a model in a run as validate leaves it; version 1 answers what it is given."""
    made = make_candidate(folder / "candidate", 1.0)
    draft = make_draft(made, folder.name)
    signature = signature_of(load_golden(made / "golden.npz")).to_json()
    trained = Trained(
        spec=draft.spec,
        source_commit=COMMIT,
        data=draft.data,
        training=draft.training,
        tools=draft.tools,
        signature=signature,
    )
    pushed = source_folder(folder) / f"models/{folder.name}/model.yaml"
    files = {
        folder / "train/training.json": trained.model_dump_json(),
        validation_file(folder): draft.validation.model_dump_json(),
        pushed: f"name: {folder.name}\ntask: regression\nserving: {{max_batch: 8}}\n",
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _claimed(export: Path, namespace: str) -> list[dict[str, Any]]:
    """A volume of the export that no claim but this namespace's gets, and the claim."""
    # Of no class: one of the cluster's own volumes would do for the claim, too.
    shared = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    claim = {"name": "slipway-store", "namespace": namespace}
    volume = {"capacity": {"storage": "1Gi"}, "hostPath": {"path": str(export)}, "claimRef": claim}
    asked = {"resources": {"requests": {"storage": "1Gi"}}}
    named = {"name": f"{export.name}-{namespace}", "labels": {"volume": export.name}}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": named, "spec": {**shared, **volume}},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": claim, "spec": {**shared, **asked}},
    ]


@pytest.fixture(scope="module")
def volume(place: Place, kube: Kube) -> Iterator[Volume]:
    claim = kube.get("pvc", "slipway-workspace", HERE)
    assert claim
    workspace = place.path("volumes", claim["spec"]["volumeName"])
    installed = yaml.safe_load(place.path("install/values.yaml").read_text())
    templates = render(Values.model_validate({**installed, "store": "/store"}))
    servers = Installation(**{target: installed["images"][target] for target in ("light", "triton")}, store="/store")
    export = place.path("volumes", f"volume-{uuid.uuid4().hex[:8]}")
    export.mkdir()
    os.chown(export, USER, USER)
    try:
        kube.apply(_claimed(export, "slipway"))
        yield Volume(kube, export, workspace, templates, servers)
    finally:
        kube.run("delete", "workflows", HERE, f"--selector=volume={export.name}", "--wait=true", seconds=90)
        kube.run("delete", "pvc", "slipway-store", HERE, "--ignore-not-found", "--wait=true", seconds=120)
        kube.run("delete", "pv", f"--selector=volume={export.name}", "--wait=true", seconds=90)
        shutil.rmtree(export)


def test_what_publish_wrote_to_a_volume_is_served_from_it_in_another_namespace(
    volume: Volume, kube: Kube, about: dict[str, Any], place: Place, tmp_path: Path
) -> None:
    version = volume.publish(MODEL)
    for key in ("signing.key", "signing.pub"):
        shutil.copy(place.path("install", key), tmp_path)
    name = f"serving-{uuid.uuid4().hex[:8]}"
    try:
        served = serve_from(kube, about, name, tmp_path, volume.servers)
        kube.apply(_claimed(volume.folder, name))
        served.release(version)
        served.wait()
        with Traffic(served.address(), MODEL) as traffic:
            until(lambda: traffic.answered_by(version.number) or None, 30, "the version answers")
        assert [seen.failures for seen in traffic.seen.values()] == [[], []]
    finally:
        kube.run("delete", "namespace", name, "--ignore-not-found", "--wait=true", seconds=180)


def test_gc_removes_from_a_volume_what_nothing_needs(volume: Volume) -> None:
    older, newer = (volume.publish("kept") for _ in range(2))
    files = [volume.folder / "kept" / str(version.number) for version in (older, newer)]
    assert [(one / "manifest.json").stat().st_uid for one in files] == [USER, USER]
    volume.run(f"{volume.folder.name}-gc", "slipway-gc", "gc", "--grace", "0s")
    assert [one.exists() for one in files] == [False, True]
