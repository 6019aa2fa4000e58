"""Where do pods get their images from?"""

from __future__ import annotations

import shutil
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import TryAgain
from tests.cluster.build import cache_folder
from tests.cluster.buildah import run
from tests.cluster.place import APART
from tests.cluster.programs import Program, pids, start, wait_until
from triton_repo.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.cluster.place import Place

__all__ = ["HOST", "MANIFESTS", "URL", "digest_of", "holds", "outside", "reference", "start_registry"]

HOST = "registry.slipway.test"  # the name in image references; no such host exists
URL = f"{APART}:5000"
MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


def start_registry(place: Place, wanted: Mapping[str, set[str]]) -> None:
    """Run the registry and tell containerd that it is where HOST's images are.

    wanted: by repository, the tags that are of use; unless the registry is up, what else an earlier run left goes.
    """
    settings = _settings(place, "registry.json", URL)
    host = f'server = "http://{URL}"\n\n[host."http://{URL}"]\n  capabilities = ["pull", "resolve"]\n'
    place.write(f"registry-hosts/{HOST}/hosts.toml", host)
    registry = str(place.program("registry", "registry"))
    _forget_uploads()
    if not pids("registry") and _untag(wanted):
        run([registry, "garbage-collect", "--delete-untagged", "--quiet", str(settings)], seconds=600)
    program = [registry, "serve", str(settings)]
    start(place, Program("registry", program, {"OTEL_TRACES_EXPORTER": "none"}, files=(settings,)))
    wait_until(place, "the registry answers", lambda: _answers(URL), 20, log="registry")


@contextmanager
def outside(place: Place) -> Iterator[str]:
    """The same images at an address of the machine's own, for who builds with what the cluster's network cannot reach.

    The caller is outside that network.
    """
    _forget_uploads()
    url = f"127.0.0.1:{free_ports(1)[0]}"
    settings = _settings(place, "registry-outside.json", url)
    # `down` knows the cluster's processes by its network, where this one is not: it ends with its caller.
    program = ["setpriv", "--pdeathsig=KILL", str(place.program("registry", "registry")), "serve", str(settings)]
    with place.path("logs/registry-outside.log").open("ab") as log:
        served = subprocess.Popen(
            program, env={"OTEL_TRACES_EXPORTER": "none"}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        wait_until(place, "the registry answers", lambda: _answers(url), 20, log="registry-outside")
        yield url
    finally:
        served.terminate()
        served.wait(20)


def holds(name: str, tag: str) -> bool:
    """Whether the image is there, known also while the registry is not running."""
    return (_tags(name) / tag / "current/link").is_file()


def reference(name: str, tag: str) -> str:
    """The image by digest, as a pod names it. Raises TryAgain if it is not there."""
    digest = digest_of(name, tag)
    if digest is None:
        raise TryAgain(f"the registry has no image {name}:{tag}; run `make cluster` again")
    return f"{HOST}/{name}@{digest}"


def _settings(place: Place, name: str, address: str) -> Path:
    return place.write(
        name,
        {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(_storage())}, "delete": {"enabled": True}},
            "http": {"addr": address},
        },
    )


def _storage() -> Path:
    """In the cache, since an image takes minutes to build and a cluster lives for an hour."""
    return cache_folder() / "registry"


def _repositories() -> Path:
    return _storage() / "docker/registry/v2/repositories"


def _tags(name: str) -> Path:
    return _repositories() / name / "_manifests/tags"


def _forget_uploads() -> None:
    """Unless the registry is up, remove what kills left of images that were on their way: gigabytes each."""
    for folder in [] if pids("registry") else list(_repositories().rglob("_uploads")):
        shutil.rmtree(folder)


def _untag(wanted: Mapping[str, set[str]]) -> bool:
    """Remove superseded tags; whether there were any."""
    folders = [folder for folder in _repositories().rglob("_manifests/tags/*") if folder.is_dir()]
    superseded = [
        folder
        for folder in folders
        if folder.name not in wanted.get(str(folder.parents[2].relative_to(_repositories())), set())
    ]
    for folder in superseded:
        shutil.rmtree(folder)
    return bool(superseded)


def digest_of(name: str, tag: str) -> str | None:
    """The digest under which the registry has the image; None if it does not."""
    request = urllib.request.Request(
        f"http://{URL}/v2/{name}/manifests/{tag}", method="HEAD", headers={"Accept": MANIFESTS}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.headers["Docker-Content-Digest"])
    except urllib.error.HTTPError as refusal:
        if refusal.code == 404:
            return None
        raise


def _answers(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # others may need the machine's proxy
    try:
        with direct.open(f"http://{url}/v2/", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
