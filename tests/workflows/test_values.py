"""What a values file changes in the manifests, and which are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hera_workflows.templates.render import render
from hera_workflows.templates.values import read_values
from slipway.errors import Misconfigured


def test_values_change_images_claims_and_addresses(tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(
        "images: {train: 'registry.example/train@sha256:00'}\nnamespace: ml\nenv_repo: https://example/env.git\n"
    )
    text = render(read_values(path))["workflows/slipway-push.yaml"]
    assert all(
        part in text for part in ("registry.example/train@sha256:00", "namespace: ml", "https://example/env.git")
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("imags: {}", "imags: Extra inputs are not permitted"),
        ("just words", "values.yaml: is no mapping; write `key: value` lines"),
        ("namespace: '../x'", "namespace: String should match pattern"),
        ("images: {light: 'registry.example:5000/light'}", "images.light: names no fixed image"),
        ("images: {light: 'registry.example/light:latest'}", "images.light: .*names no fixed image"),
        ("secrets: {webhook: ''}", "secrets.webhook: String should match pattern"),
        ("store: /somewhere", "store: String should match pattern"),
        ("store: gs://acme-models/slipway", "store: String should match pattern"),
        ("light: {memory: 500m}", "light.memory: String should match pattern"),
        ("schedules: {gc: 2026-13-01}", "'2026-13-01' is no timestamp .*; correct it there$"),
        ("env_repo: https://slipway:secret@example.com/environments.git", "env_repo: String should match pattern"),
        ("environments: [staging, slipway]", "slipway is there twice"),
        ("event_bus: {kind: exotic}", "event_bus: .*has a url"),
        ("network: {data: ['example.com']}", "network.data.0: String should match pattern"),
        ("schedules: {gc: hourly}", "schedules.gc: String should match pattern"),
        ("[", "values.yaml cannot be read: [^\n]*; correct it there$"),
    ],
)
def test_wrong_values_are_refused_with_their_place(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(content)
    with pytest.raises(Misconfigured, match=message):
        read_values(path)


def test_values_that_are_not_there_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(
        Misconfigured, match=r"values\.yaml: No such file or directory; write the cluster's values there"
    ):
        read_values(tmp_path / "values.yaml")
