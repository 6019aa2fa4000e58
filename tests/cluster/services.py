"""Are the services up that stand for the world around a cluster: S3, the event bus, Prometheus?"""

from __future__ import annotations

import socket
import urllib.request
from typing import TYPE_CHECKING

from tests.cluster.place import ADDRESS
from tests.cluster.programs import Program, start, wait_until
from tests.cluster.secrets import remembered

if TYPE_CHECKING:
    from tests.cluster.place import Place

__all__ = ["BUCKETS", "NATS", "PROMETHEUS", "S3", "S3_USER", "answers", "up"]

S3 = f"{ADDRESS}:7070"
S3_USER = "slipway"
BUCKETS = ("artifacts", "models")
NATS = f"{ADDRESS}:4222"
PROMETHEUS = f"http://{ADDRESS}:9090"

# Pods say by annotation what to scrape, as most clusters without the operator have it.
_META = "__meta_kubernetes_pod_"
_SCRAPED = f"{_META}annotation_prometheus_io"


def up(place: Place) -> None:
    """Start what is not running and wait until each answers. Raises TryAgain."""
    for bucket in BUCKETS:
        place.path("s3", bucket, ".").mkdir(parents=True, exist_ok=True)
    arguments = [str(place.program("versitygw", "versitygw")), "--port", S3, "--quiet", "posix", str(place.path("s3"))]
    keys = {"ROOT_ACCESS_KEY": S3_USER, "ROOT_SECRET_KEY": remembered(place, "s3")}
    start(place, Program("versitygw", arguments, keys))

    pki, (host, port) = place.folder / "pki", NATS.split(":")
    # Argo Events speaks to an event bus of the operator's own over TLS only.
    encryption = ["--tls", f"--tlscert={pki}/nats.crt", f"--tlskey={pki}/nats.key"]
    store = ["--jetstream", f"--store_dir={place.path('nats')}"]
    arguments = [str(place.program("nats", "nats-server")), f"--addr={host}", f"--port={port}", *store, *encryption]
    start(place, Program("nats", arguments))

    settings = place.write("prometheus.json", _prometheus(place))
    arguments = [
        str(place.program("prometheus", "prometheus")),
        f"--config.file={settings}",
        f"--storage.tsdb.path={place.path('prometheus')}",
        f"--web.listen-address={PROMETHEUS.removeprefix('http://')}",
        "--log.level=warn",
    ]
    start(place, Program("prometheus", arguments, files=(settings,)))

    wait_until(place, "S3 answers", lambda: _listens(S3), 20, log="versitygw")
    wait_until(place, "the event bus answers", lambda: _listens(NATS), 20, log="nats")
    wait_until(place, "Prometheus answers", lambda: answers(f"{PROMETHEUS}/-/ready"), 30, log="prometheus")


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _listens(address: str) -> bool:
    host, port = address.split(":")
    try:
        with socket.create_connection((host, int(port)), timeout=5):
            return True
    except OSError:
        return False


def _prometheus(place: Place) -> dict[str, object]:
    relabel = [
        {"action": "keep", "source_labels": [f"{_SCRAPED}_scrape"], "regex": "true"},
        {
            "action": "replace",
            "source_labels": [f"{_META}ip", f"{_SCRAPED}_port"],
            "separator": ":",
            "target_label": "__address__",
        },
        {"source_labels": [f"{_SCRAPED}_path"], "regex": "(.+)", "target_label": "__metrics_path__"},
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": [f"{_META}name"], "target_label": "pod"},
        {"action": "labelmap", "regex": f"{_META}label_(slipway_.+)"},
    ]
    discovery = {"role": "pod", "kubeconfig_file": str(place.kubeconfig)}
    jobs = [{"job_name": "pods", "kubernetes_sd_configs": [discovery], "relabel_configs": relabel}]
    return {"global": {"scrape_interval": "2s", "scrape_timeout": "2s"}, "scrape_configs": jobs}
