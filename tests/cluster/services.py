"""Are the services up that stand for the world around a cluster: S3, the event bus, Prometheus?"""

from __future__ import annotations

import socket
import urllib.request
from typing import TYPE_CHECKING

from tests.cluster.monitors import scrape_configs
from tests.cluster.place import ADDRESS, APART
from tests.cluster.programs import Program, start, wait_until
from tests.cluster.secrets import remembered

if TYPE_CHECKING:
    from tests.cluster.place import Place

__all__ = ["BUCKETS", "NATS", "NATS_USER", "PROMETHEUS", "S3", "S3_USER", "answers", "up"]

S3 = f"{ADDRESS}:7070"
S3_USER = "slipway"
BUCKETS = ("artifacts", "models")
NATS = f"{APART}:4222"
NATS_USER = "slipway"
PROMETHEUS = f"http://{APART}:9090"


def up(place: Place) -> None:
    """Start what is not running and wait until each answers. Raises TryAgain."""
    for bucket in BUCKETS:
        place.path("s3", bucket, ".").mkdir(parents=True, exist_ok=True)
    accounts = ["--iam-dir", str(place.path("s3-accounts/users.json").parent)]
    program = str(place.program("versitygw", "versitygw"))
    arguments = [program, "--port", S3, "--quiet", *accounts, "posix", str(place.path("s3"))]
    keys = {"ROOT_ACCESS_KEY": S3_USER, "ROOT_SECRET_KEY": remembered(place, "s3")}
    start(place, Program("versitygw", arguments, keys))

    settings = place.write("nats.json", _nats(place), mode=0o600)
    arguments = [str(place.program("nats", "nats-server")), f"--config={settings}"]
    start(place, Program("nats", arguments, files=(settings,)))

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


def _nats(place: Place) -> dict[str, object]:
    pki = place.folder / "pki"
    # Argo Events names what it keeps here after sensors alone, so slipway's bus and that of a test must not meet.
    user = {"user": NATS_USER, "password": remembered(place, "nats")}
    return {
        "listen": NATS,
        "jetstream": {"store_dir": str(place.path("nats"))},
        # It speaks to an event bus of the operator's own over TLS only.
        "tls": {"cert_file": f"{pki}/nats.crt", "key_file": f"{pki}/nats.key"},
        "accounts": {
            "slipway": {"jetstream": "enabled", "users": [user]},
            "tests": {"jetstream": "enabled", "users": [{"user": "anyone", "password": ""}]},
        },
        "no_auth_user": "anyone",
    }


def _prometheus(place: Place) -> dict[str, object]:
    jobs = scrape_configs(place.path("install/deploy/monitoring/scraping.yaml"), place.kubeconfig)
    return {"global": {"scrape_interval": "2s", "scrape_timeout": "2s"}, "scrape_configs": jobs}
