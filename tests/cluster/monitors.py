"""What does Prometheus scrape, by slipway's PodMonitors?

The Prometheus operator would make the same of them: one job for each endpoint. Of its module only the definitions are
used, for it would be one more program to build.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["scrape_configs"]

_POD = "__meta_kubernetes_pod_"


def scrape_configs(manifests: Path, kubeconfig: Path) -> list[dict[str, Any]]:
    """Prometheus's own settings for every endpoint of every PodMonitor in a file."""
    monitors = [one for one in yaml.safe_load_all(manifests.read_text()) if one and one["kind"] == "PodMonitor"]
    return [
        _job(monitor, endpoint, number, kubeconfig)
        for monitor in monitors
        for number, endpoint in enumerate(monitor["spec"]["podMetricsEndpoints"])
    ]


def _job(monitor: dict[str, Any], endpoint: dict[str, Any], number: int, kubeconfig: Path) -> dict[str, Any]:
    metadata, spec = monitor["metadata"], monitor["spec"]
    discovery = {
        "role": "pod",
        "kubeconfig_file": str(kubeconfig),
        "namespaces": {"names": spec["namespaceSelector"]["matchNames"]},
    }
    relabel = [
        {"action": "drop", "source_labels": [f"{_POD}phase"], "regex": "Failed|Succeeded"},
        *_selected(spec["selector"]),
        _port(endpoint),
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": [f"{_POD}name"], "target_label": "pod"},
        *({_snake(key): value for key, value in one.items()} for one in endpoint.get("relabelings", [])),
    ]
    job: dict[str, Any] = {
        "job_name": f"podMonitor/{metadata['namespace']}/{metadata['name']}/{number}",
        "kubernetes_sd_configs": [discovery],
        "relabel_configs": relabel,
        "scheme": endpoint.get("scheme", "http"),
        "honor_labels": endpoint.get("honorLabels", False),
    }
    if "tlsConfig" in endpoint:
        job["tls_config"] = {_snake(key): value for key, value in endpoint["tlsConfig"].items()}
    return job


def _selected(selector: dict[str, Any]) -> list[dict[str, Any]]:
    """Keep the pods that a label selector names."""
    exactly = {key: [value] for key, value in selector.get("matchLabels", {}).items()}
    among = {one["key"]: one["values"] for one in selector.get("matchExpressions", [])}
    return [
        {
            "action": "keep",
            "source_labels": [f"{_POD}label_{re.sub('[^A-Za-z0-9_]', '_', key)}"],
            "regex": "|".join(map(re.escape, values)),
        }
        for key, values in (exactly | among).items()
    ]


def _port(endpoint: dict[str, Any]) -> dict[str, Any]:
    if "port" in endpoint:
        return {"action": "keep", "source_labels": [f"{_POD}container_port_name"], "regex": endpoint["port"]}
    number = str(endpoint["portNumber"])
    return {"action": "keep", "source_labels": [f"{_POD}container_port_number"], "regex": number}


def _snake(name: str) -> str:
    return re.sub("([A-Z])", lambda match: f"_{match[1].lower()}", name)
