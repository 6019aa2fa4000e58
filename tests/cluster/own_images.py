"""Which images of slipway's own does the cluster run, and does its registry have them?

They are built from deploy/images/Containerfile, as an operator builds them, over the cluster's base image. Libraries
and code are kept apart: a change of slipway's code makes one thin layer and no more.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tarfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import registry
from tests.cluster.buildah import buildah, forget, has, run
from tests.cluster.images import BASE, build_base, root_folder
from tests.cluster.layers import append

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.place import Place

__all__ = ["TARGETS", "all_tags", "build", "missing", "publish", "reference"]

TARGETS = ("light", "evaluate", "triton", "train")  # the largest last
_WITH_CODE = ("light", "evaluate", "train")
_ROOT = Path(__file__).resolve().parents[2]
_CONTAINERFILE = _ROOT / "deploy/images/Containerfile"
_UV, _CODE = "localhost/slipway/uv:latest", "localhost/slipway/code:latest"
# What the wheel is made of.
_SOURCES = ("slipway", "triton_repo", "gitops", "hera_workflows", "deploy", "envs", "examples", "pyproject.toml")


def missing() -> list[str]:
    """Those whose libraries the registry lacks."""
    return [target for target in TARGETS if not _published(target, _libraries(target))]


def build(place: Place, say: Callable[[str], None]) -> None:
    """Build what the registry lacks; needs the package index, and no registry. Raises TryAgain."""
    libraries = missing()
    code = any(not _published(target, tags()[target]) for target in _WITH_CODE)
    if not libraries and not code:
        return
    forget(place, keep=[BASE, _UV])
    build_base(place, say)
    _build_uv(place)
    if libraries:
        # Straight to the registry: of gigabytes, one copy less than by way of this machine's store.
        with registry.outside(place) as url:
            for target in libraries:
                say(f"libraries of the image {target}")
                _bud(place, _stage(target), f"docker://{url}/slipway/{target}:{_libraries(target)}")
    if code:
        say("slipway's own code")
        _bud(place, "code", _CODE)


def publish(place: Place, say: Callable[[str], None]) -> None:
    """Lay the code that was built over the libraries; the caller is inside the network."""
    uncoded = [target for target in _WITH_CODE if not _published(target, tags()[target])]
    if uncoded:
        say(f"images {', '.join(uncoded)}: code")
        layer = _code_layer(place)
        for target in uncoded:
            append(f"slipway/{target}", _libraries(target), layer, tags()[target])
        layer.unlink()
    if place.path("buildah").is_dir():
        forget(place, keep=[BASE, _UV])


def reference(target: str) -> str:
    """The image by digest, as a pod names it. Raises TryAgain if the registry lacks it."""
    return registry.reference(f"slipway/{target}", tags()[target])


@cache
def tags() -> dict[str, str]:
    """By target, a name for exactly what the image is made of; once a process, for people go on writing meanwhile."""
    code = hashlib.sha256()
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *_SOURCES], folder=_ROOT)
    for name in sorted(set(listed.split("\0"))):
        if (_ROOT / name).is_file():
            code.update(f"{name}\0".encode() + (_ROOT / name).read_bytes())
    short = code.hexdigest()[:12]
    return {
        target: f"{_libraries(target)}-{short}" if target in _WITH_CODE else _libraries(target) for target in TARGETS
    }


def all_tags() -> dict[str, set[str]]:
    """By repository of the registry, the tags that are of use now."""
    return {f"slipway/{target}": {tag, _libraries(target)} for target, tag in tags().items()}


@cache
def _libraries(target: str) -> str:
    """A name for the libraries that uv.lock gives the extras of the target's stage, and for how they are installed."""
    stages = {
        match["name"]: match[0]
        for match in re.finditer(r"^FROM \S+ AS (?P<name>\S+)\n(?:(?!^FROM ).*\n)*", _CONTAINERFILE.read_text(), re.M)
    }
    stage = stages[_stage(target)]
    extras = [word for extra in re.findall(r"--extra (\S+)", stage) for word in ("--extra", extra)]
    export = ["export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--no-header", *extras]
    locked = run([_uv(), *export, "--project", str(_ROOT)])
    recipe = repr((root_folder().name, stages["runtime"], stage, locked))
    return f"libraries-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def _stage(target: str) -> str:
    return f"{target}-libraries" if target in _WITH_CODE else target


def _published(target: str, tag: str) -> bool:
    return registry.holds(f"slipway/{target}", tag)


def _uv() -> str:
    return str(Path(sys.prefix, "bin/uv"))


def _build_uv(place: Place) -> None:
    if not has(place, _UV):
        container = buildah(place, "from", "scratch").strip()
        buildah(place, "copy", "--quiet", container, _uv(), "/uv")
        buildah(place, "commit", "--quiet", "--rm", container, _UV)


def _bud(place: Place, stage: str, name: str) -> None:
    cache = run([_uv(), "cache", "dir"]).strip()
    arguments = [f"--build-arg=BASE={BASE}", f"--build-arg=UV={_UV}"]
    settings = ["--isolation=chroot", "--network=host", "--layers=false", "--tls-verify=false", *arguments]
    # The machine's own certificates, for an index behind an authority of its own; wheels that were downloaded already.
    volumes = ["--volume=/etc/ssl/certs:/etc/ssl/certs:ro", f"--volume={cache}:/root/.cache/uv"]
    what = [f"--file={_CONTAINERFILE}", f"--target={stage}", f"--tag={name}", str(_ROOT)]
    buildah(place, "bud", "--quiet", *settings, *volumes, *what, seconds=1800)


def _code_layer(place: Place) -> Path:
    """What the code stage has at /opt/slipway, as a tar."""
    layer = place.path("code.tar")
    container = buildah(place, "from", "--pull-never", _CODE).strip()
    folder = Path(buildah(place, "mount", container).strip())
    try:
        with tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) as tar:
            tar.add(folder / "opt/slipway", "opt/slipway", filter=_of_root)
    finally:
        buildah(place, "umount", container)
        buildah(place, "rm", container)
    return layer


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry
