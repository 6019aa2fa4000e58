"""How does one more layer come on an image of the registry, without a copy of gigabytes that are under it?

The result is what a last `COPY --from=code` in a Containerfile makes.
"""

from __future__ import annotations

import hashlib
import json
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

from tests.cluster.registry import MANIFESTS, URL

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["append"]

_LAYER = "application/vnd.oci.image.layer.v1.tar"


def append(name: str, base: str, layer: Path, tag: str) -> None:
    """Make image name:tag of name:base and a layer, an uncompressed tar; the caller is inside the network."""
    manifest = json.loads(_get(f"/v2/{name}/manifests/{base}"))
    config = json.loads(_get(f"/v2/{name}/blobs/{manifest['config']['digest']}"))
    content = layer.read_bytes()
    config["rootfs"]["diff_ids"].append(_digest(content))
    config["history"].append({"created_by": "COPY --from=code /opt/slipway /opt/slipway"})
    settings = json.dumps(config).encode()
    manifest["layers"].append(_upload(name, content, _LAYER))
    manifest["config"] = _upload(name, settings, manifest["config"]["mediaType"])
    _call("PUT", f"{_HOST}/v2/{name}/manifests/{tag}", json.dumps(manifest).encode(), manifest["mediaType"])


_HOST = f"http://{URL}"


def _upload(name: str, content: bytes, media_type: str) -> dict[str, Any]:
    """Put a blob there; how a manifest names it."""
    with urllib.request.urlopen(_request("POST", f"{_HOST}/v2/{name}/blobs/uploads/", b""), timeout=30) as answer:
        place = urllib.parse.urljoin(_HOST, answer.headers["Location"])
    sign = "&" if "?" in place else "?"
    digest = _digest(content)
    _call("PUT", f"{place}{sign}digest={digest}", content, "application/octet-stream")
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _get(path: str) -> bytes:
    request = urllib.request.Request(f"{_HOST}{path}", headers={"Accept": MANIFESTS})
    with urllib.request.urlopen(request, timeout=60) as answer:
        content: bytes = answer.read()
    return content


def _call(method: str, url: str, content: bytes, media_type: str) -> None:
    with urllib.request.urlopen(_request(method, url, content, media_type), timeout=120):
        pass


def _request(method: str, url: str, content: bytes, media_type: str = "") -> urllib.request.Request:
    headers = {"Content-Type": media_type} if media_type else {}
    return urllib.request.Request(url, method=method, data=content, headers=headers)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
