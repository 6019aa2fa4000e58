"""Where do pods get their images from?"""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from tests.cluster.place import ADDRESS
from tests.cluster.programs import Program, start, wait_until

if TYPE_CHECKING:
    from tests.cluster.place import Place

__all__ = ["HOST", "URL", "digest_of", "start_registry"]

HOST = "registry.slipway.test"  # the name in image references; no such host exists
URL = f"{ADDRESS}:5000"
_MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


def start_registry(place: Place) -> None:
    """Run the registry and tell containerd that it is where HOST's images are."""
    settings = place.write(
        "registry.json",
        {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(place.path("registry"))}, "delete": {"enabled": True}},
            "http": {"addr": URL},
        },
    )
    host = f'server = "http://{URL}"\n\n[host."http://{URL}"]\n  capabilities = ["pull", "resolve"]\n'
    place.write(f"registry-hosts/{HOST}/hosts.toml", host)
    program = [str(place.program("registry", "registry")), "serve", str(settings)]
    start(place, Program("registry", program, {"OTEL_TRACES_EXPORTER": "none"}, files=(settings,)))
    wait_until(place, "the registry answers", _answers, 20, log="registry")


def digest_of(name: str, tag: str) -> str | None:
    """The digest under which the registry has the image; None if it does not."""
    request = urllib.request.Request(
        f"http://{URL}/v2/{name}/manifests/{tag}", method="HEAD", headers={"Accept": _MANIFESTS}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.headers["Docker-Content-Digest"])
    except urllib.error.HTTPError as refusal:
        if refusal.code == 404:
            return None
        raise


def _answers() -> bool:
    try:
        with urllib.request.urlopen(f"http://{URL}/v2/", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
